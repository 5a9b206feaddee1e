/* max_pool2d_cuda.cu: the greatest element of each window, NaN above all, and where it lies in its
 * plane; the gradient goes to that place. */
#include "cuda_planes.h"

namespace {

template <class T> struct greatest_of_window {
    pool_windows windows;
    cuda_planes<T> x;
    T *y;
    int32_t *index;

    __device__ void operator()(int64_t i) const {
        const plane_position p = plane_position_of(i, windows.count);
        const plane_span rows = windows.of(0, p.at[0]), columns = windows.of(1, p.at[1]);
        const T *plane = x.plane(p.plane);
        int64_t best_at = rows.first * windows.extent[1] + columns.first;
        T best = -(T)INFINITY;
        for (int64_t row = rows.first; row < rows.end; row++)
            for (int64_t column = columns.first; column < columns.end; column++) {
                const T value = plane[row * x.stride[2] + column * x.stride[3]];
                if (value > best || (value != value && best == best)) {
                    best = value;
                    best_at = row * windows.extent[1] + column;
                }
            }
        y[i] = best;
        index[i] = (int32_t)best_at;
    }
};

template <class T> qn_status max_pool2d(const qn_call *call) {
    const greatest_of_window<T> work{pool_windows_of(call, call->in, call->out),
                                     cuda_planes_of<T>(call->in), (T *)call->out[0].data,
                                     (int32_t *)call->out[1].data};
    return each_launch(call, qn_view_count(call->out), work);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? max_pool2d<double>(call) : max_pool2d<float>(call);
}

/** Each pixel adds up g of the windows whose greatest it was. */
template <class T> struct wins_of_pixel {
    pool_windows windows;
    cuda_planes<T> g;
    cuda_planes<int32_t> index;
    T *dx;

    __device__ void operator()(int64_t i) const {
        const plane_position p = plane_position_of(i, windows.extent);
        const plane_span rows = windows.covering(0, p.at[0]);
        const plane_span columns = windows.covering(1, p.at[1]);
        const int64_t here = p.at[0] * windows.extent[1] + p.at[1];
        const T *plane = g.plane(p.plane);
        const int32_t *place = index.plane(p.plane);
        gpu_sum<T> sum;
        for (int64_t row = rows.first; row < rows.end; row++)
            for (int64_t column = columns.first; column < columns.end; column++)
                if (place[row * index.stride[2] + column * index.stride[3]] == here)
                    sum.add(plane[row * g.stride[2] + column * g.stride[3]]);
        dx[i] = (T)sum.value();
    }
};

template <class T> qn_status max_pool2d_grad(const qn_call *call) {
    const wins_of_pixel<T> work{pool_windows_of(call, call->out, call->in),
                                cuda_planes_of<T>(&call->in[0]),
                                cuda_planes_of<int32_t>(&call->in[1]), (T *)call->out->data};
    return each_launch(call, qn_view_count(call->out), work);
}

qn_status run_grad(const qn_call *call) {
    return call->in->dtype == QN_F64 ? max_pool2d_grad<double>(call) : max_pool2d_grad<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_max_pool2d;
const qn_kernel qnk_cuda_max_pool2d = {.size = sizeof(qn_kernel),
                                       .op = "max_pool2d",
                                       .run = run,
                                       .attrs_size = sizeof(qn_pool2d_attrs)};

extern "C" const qn_kernel qnk_cuda_max_pool2d_grad;
const qn_kernel qnk_cuda_max_pool2d_grad = {.size = sizeof(qn_kernel),
                                            .op = "max_pool2d_grad",
                                            .run = run_grad,
                                            .attrs_size = sizeof(qn_pool2d_attrs)};
