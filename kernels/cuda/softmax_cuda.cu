/* softmax_cuda.cu: y = e^x / sum(e^x) along an axis; gradient: y (g - sum(g y)). */
#include "cuda_softmax.h"

namespace {

template <class T> struct softmax_line : axis_lines<T> {
    template <int team> __device__ void run(int64_t number, int lane) const {
        int64_t at[3];
        lines_at<3>(this->outer, number, at);
        const T *x = this->in[0] + at[1];
        T *y = this->out + at[0];
        const line_exponentials<T> e = line_sum_exp<team>(x, this->stride[1], this->count, lane);
        for (int64_t i = lane; i < this->count; i += team)
            y[i * this->stride[0]] = m_exp(x[i * this->stride[1]] - e.greatest) / e.sum;
    }
};

template <class T> struct softmax_grad_line : axis_lines<T> {
    template <int team> __device__ void run(int64_t number, int lane) const {
        int64_t at[3];
        lines_at<3>(this->outer, number, at);
        const T *g = this->in[0] + at[1], *y = this->in[1] + at[2];
        gpu_sum<T> sum;
        for (int64_t i = lane; i < this->count; i += team)
            sum.add(g[i * this->stride[1]] * y[i * this->stride[2]]);
        const T along = (T)team_sum<team>(sum.value());
        for (int64_t i = lane; i < this->count; i += team)
            this->out[at[0] + i * this->stride[0]] =
                y[i * this->stride[2]] * (g[i * this->stride[1]] - along);
    }
};

qn_status run(const qn_call *call) { return axis_lines_run<softmax_line>(call); }

qn_status run_grad(const qn_call *call) { return axis_lines_run<softmax_grad_line>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_softmax;
const qn_kernel qnk_cuda_softmax = {
    .size = sizeof(qn_kernel), .op = "softmax", .run = run, .attrs_size = sizeof(qn_axis_attrs)};

extern "C" const qn_kernel qnk_cuda_softmax_grad;
const qn_kernel qnk_cuda_softmax_grad = {.size = sizeof(qn_kernel),
                                         .op = "softmax_grad",
                                         .run = run_grad,
                                         .attrs_size = sizeof(qn_axis_attrs)};
