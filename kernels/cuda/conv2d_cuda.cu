/* conv2d_cuda.cu: conv2d and its gradients, each as the sum that defines one element of its output,
 * a thread an element (a block for the weight's). cuDNN is asked before; this serves what it
 * declines: any strides, no elements.
 *
 * y[n, o, i, j] = bias[o] + sum over c, p, q of
 *                 x[n, c, i stride - padding + p dilation, j ..] w[o, c', p, q]
 * where c runs over the channels of o's group and c' counts them from 0. */
#include "cuda_reduce.h"
#include "cuda_walk.h"

namespace {

/** Extents and strides of x [n, c, h, w], w [o, c', p, q] and y (or g) [n, o, i, j]. */
struct conv_shape {
    int64_t x[4], w[4], y[4], x_step[4], w_step[4], y_step[4];
    int64_t stride[2], padding[2], dilation[2], group_outputs;
    bool relu;
};

void copy_axes(const qn_view *view, int64_t *shape, int64_t *step) {
    for (int axis = 0; axis < 4; axis++) {
        shape[axis] = view->shape[axis];
        step[axis] = view->stride[axis];
    }
}

conv_shape shape_of(const qn_call *call, const qn_view *x, const qn_view *w, const qn_view *y) {
    const qn_conv2d_attrs *attrs = (const qn_conv2d_attrs *)call->attrs;
    conv_shape s = {};
    copy_axes(x, s.x, s.x_step);
    copy_axes(w, s.w, s.w_step);
    copy_axes(y, s.y, s.y_step);
    for (int axis = 0; axis < 2; axis++) {
        s.stride[axis] = attrs->stride[axis];
        s.padding[axis] = attrs->padding[axis];
        s.dilation[axis] = attrs->dilation[axis];
    }
    s.relu = attrs->relu != 0;
    s.group_outputs = attrs->groups > 0 ? y->shape[1] / attrs->groups : 0;
    return s;
}

/** Element `e` of a tensor of these extents, by position along each axis. */
__device__ inline void position_of(int64_t e, const int64_t *shape, int64_t *at) {
    for (int axis = 3; axis >= 0; axis--) {
        at[axis] = e % shape[axis];
        e /= shape[axis];
    }
}

/* ---- forward --------------------------------------------------------------------------------- */

template <class T>
__global__ void conv_elements(conv_shape s, const T *x, const T *w, const T *bias,
                              int64_t bias_step, T *y) {
    const int64_t count = s.y[0] * s.y[1] * s.y[2] * s.y[3];
    for (int64_t e = gpu_first(); e < count; e += gpu_step()) {
        int64_t at[4];
        position_of(e, s.y, at);
        const int64_t first = at[1] / s.group_outputs * s.w[1];
        T sum = bias ? bias[at[1] * bias_step] : (T)0;
        for (int64_t c = 0; c < s.w[1]; c++)
            for (int64_t p = 0; p < s.w[2]; p++) {
                const int64_t row = at[2] * s.stride[0] - s.padding[0] + p * s.dilation[0];
                if (row < 0 || row >= s.x[2])
                    continue;
                const T *x_row =
                    x + at[0] * s.x_step[0] + (first + c) * s.x_step[1] + row * s.x_step[2];
                const T *w_row = w + at[1] * s.w_step[0] + c * s.w_step[1] + p * s.w_step[2];
                for (int64_t q = 0; q < s.w[3]; q++) {
                    const int64_t column = at[3] * s.stride[1] - s.padding[1] + q * s.dilation[1];
                    if (column >= 0 && column < s.x[3])
                        sum += x_row[column * s.x_step[3]] * w_row[q * s.w_step[3]];
                }
            }
        y[e] = s.relu && sum < 0 ? (T)0 : sum;
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    const conv_shape s = shape_of(call, &call->in[QN_CONV2D_X], &call->in[QN_CONV2D_W], call->out);
    const qn_view *bias = &call->in[QN_CONV2D_BIAS];
    return gpu_launch(
        call, conv_elements<T>, gpu_blocks(call, qn_view_count(call->out), TEAM_BLOCK), TEAM_BLOCK,
        0, s, (const T *)call->in[QN_CONV2D_X].data, (const T *)call->in[QN_CONV2D_W].data,
        (const T *)bias->data, bias->data ? bias->stride[0] : 0, (T *)call->out->data);
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

/* ---- gradient of the input -------------------------------------------------------------- */

/** The output row (or column) whose window has its tap `k` at input position `at`; -1 for none. */
__device__ inline int64_t output_of(const conv_shape &s, int axis, int64_t at, int64_t k) {
    const int64_t from = at + s.padding[axis] - k * s.dilation[axis];
    if (from < 0 || from % s.stride[axis] != 0)
        return -1;
    return from / s.stride[axis] < s.y[2 + axis] ? from / s.stride[axis] : -1;
}

template <class T>
__global__ void grad_input_elements(conv_shape s, const T *g, const T *w, T *dx) {
    const int64_t count = s.x[0] * s.x[1] * s.x[2] * s.x[3];
    for (int64_t e = gpu_first(); e < count; e += gpu_step()) {
        int64_t at[4];
        position_of(e, s.x, at);
        const int64_t first = at[1] / s.w[1] * s.group_outputs, channel = at[1] % s.w[1];
        T sum = 0;
        for (int64_t p = 0; p < s.w[2]; p++) {
            const int64_t i = output_of(s, 0, at[2], p);
            for (int64_t q = 0; i >= 0 && q < s.w[3]; q++) {
                const int64_t j = output_of(s, 1, at[3], q);
                if (j < 0)
                    continue;
                const T *g_at = g + at[0] * s.y_step[0] + i * s.y_step[2] + j * s.y_step[3];
                const T *w_at = w + channel * s.w_step[1] + p * s.w_step[2] + q * s.w_step[3];
                for (int64_t o = first; o < first + s.group_outputs; o++)
                    sum += g_at[o * s.y_step[1]] * w_at[o * s.w_step[0]];
            }
        }
        dx[e] = sum;
    }
}

template <class T> qn_status run_grad_input_as(const qn_call *call) {
    const conv_shape s = shape_of(call, call->out, &call->in[1], &call->in[0]);
    return gpu_launch(call, grad_input_elements<T>,
                      gpu_blocks(call, qn_view_count(call->out), TEAM_BLOCK), TEAM_BLOCK, 0, s,
                      (const T *)call->in[0].data, (const T *)call->in[1].data,
                      (T *)call->out->data);
}

qn_status run_grad_input(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_grad_input_as<double>(call)
                                      : run_grad_input_as<float>(call);
}

/* ---- gradient of the weight ------------------------------------------------------------- */

/** A block an element: its threads share the samples and positions, and join their sums. */
template <class T>
__global__ void grad_weight_elements(conv_shape s, const T *x, const T *g, T *dw) {
    const int64_t count = s.w[0] * s.w[1] * s.w[2] * s.w[3], plane = s.y[2] * s.y[3];
    for (int64_t e = blockIdx.x; e < count; e += gridDim.x) {
        int64_t at[4];
        position_of(e, s.w, at);
        const int64_t channel = at[0] / s.group_outputs * s.w[1] + at[1];
        gpu_sum<T> sum;
        for (int64_t t = threadIdx.x; t < s.x[0] * plane; t += blockDim.x) {
            const int64_t n = t / plane, i = t % plane / s.y[3], j = t % s.y[3];
            const int64_t row = at[2] * s.dilation[0] - s.padding[0] + i * s.stride[0];
            const int64_t column = at[3] * s.dilation[1] - s.padding[1] + j * s.stride[1];
            if (row >= 0 && row < s.x[2] && column >= 0 && column < s.x[3])
                sum.add(
                    x[n * s.x_step[0] + channel * s.x_step[1] + row * s.x_step[2] +
                      column * s.x_step[3]] *
                    g[n * s.y_step[0] + at[0] * s.y_step[1] + i * s.y_step[2] + j * s.y_step[3]]);
        }
        const double total = block_reduce(sum.value(), reduce_plus{});
        if (threadIdx.x == 0)
            dw[e] = (T)total;
    }
}

template <class T> qn_status run_grad_weight_as(const qn_call *call) {
    const conv_shape s = shape_of(call, &call->in[0], call->out, &call->in[1]);
    return gpu_launch(call, grad_weight_elements<T>, gpu_blocks(call, qn_view_count(call->out), 1),
                      TEAM_BLOCK, 0, s, (const T *)call->in[0].data, (const T *)call->in[1].data,
                      (T *)call->out->data);
}

qn_status run_grad_weight(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_grad_weight_as<double>(call)
                                      : run_grad_weight_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_conv2d;
const qn_kernel qnk_cuda_conv2d = {
    .size = sizeof(qn_kernel), .op = "conv2d", .run = run, .attrs_size = sizeof(qn_conv2d_attrs)};

extern "C" const qn_kernel qnk_cuda_conv2d_grad_input;
const qn_kernel qnk_cuda_conv2d_grad_input = {.size = sizeof(qn_kernel),
                                              .op = "conv2d_grad_input",
                                              .run = run_grad_input,
                                              .attrs_size = sizeof(qn_conv2d_attrs)};

extern "C" const qn_kernel qnk_cuda_conv2d_grad_weight;
const qn_kernel qnk_cuda_conv2d_grad_weight = {.size = sizeof(qn_kernel),
                                               .op = "conv2d_grad_weight",
                                               .run = run_grad_weight,
                                               .attrs_size = sizeof(qn_conv2d_attrs)};
