/* conv1d_max_cuda.cu: conv1d_max and its gradients, over x [n, t, c] and w [o, c, k].
 *
 * y[n, o] = bias[o] + the greatest, over windows i, of
 *           sum over j, c of x[n, i - padding + j, c] w[o, c, j]
 * and index[n, o] is the first i that gives it; a NaN counts as greatest. A warp takes an output:
 * its lanes the windows. The gradients visit the winning windows alone. */
#include "cuda_reduce.h"
#include "cuda_walk.h"

namespace {

enum { WARPS = 8 };

struct max_shape {
    int64_t samples, steps, channels, outputs, kernel, padding;
    int64_t x_step[3], w_step[3], bias_step, length_step;
};

max_shape shape_of(const qn_call *call, const qn_view *x, const qn_view *w) {
    max_shape s = {x->shape[0], x->shape[1],
                   x->shape[2], w->shape[0],
                   w->shape[2], ((const qn_conv1d_max_attrs *)call->attrs)->padding,
                   {},          {},
                   0,           0};
    for (int axis = 0; axis < 3; axis++) {
        s.x_step[axis] = x->stride[axis];
        s.w_step[axis] = w->stride[axis];
    }
    return s;
}

/** Windows of a sample that start before its length. */
__device__ inline int64_t windows_of(const max_shape &s, const int64_t *lengths, int64_t n) {
    const int64_t count = s.steps + 2 * s.padding - s.kernel + 1;
    if (!lengths)
        return count;
    int64_t length = lengths[n * s.length_step];
    length = length < 1 ? 1 : length;
    return length < count - s.padding ? length + s.padding : count;
}

template <class T>
__device__ inline T window_sum(const max_shape &s, const T *x, const T *w, int64_t start) {
    T sum = 0;
    for (int64_t j = 0; j < s.kernel; j++) {
        if (start + j < 0 || start + j >= s.steps)
            continue;
        const T *x_step = x + (start + j) * s.x_step[1], *w_step = w + j * s.w_step[2];
        for (int64_t c = 0; c < s.channels; c++)
            sum += x_step[c * s.x_step[2]] * w_step[c * s.w_step[1]];
    }
    return sum;
}

/** Whether b at window j beats a at window i. */
template <class T> __device__ inline bool beats(T b, int64_t j, T a, int64_t i) {
    if (a != a || b != b)
        return b != b && (a == a || j < i);
    return b > a || (b == a && j < i);
}

template <class T>
__global__ void max_windows(max_shape s, const T *x, const T *w, const T *bias,
                            const int64_t *lengths, T *y, int32_t *index) {
    const int lane = threadIdx.x;
    for (int64_t e = (int64_t)blockIdx.x * WARPS + threadIdx.y; e < s.samples * s.outputs;
         e += (int64_t)gridDim.x * WARPS) {
        const int64_t n = e / s.outputs, o = e % s.outputs, windows = windows_of(s, lengths, n);
        const T *x_at = x + n * s.x_step[0], *w_at = w + o * s.w_step[0];
        int64_t best_at = lane < windows ? lane : 0;
        T best = window_sum(s, x_at, w_at, best_at - s.padding);
        for (int64_t i = lane + GPU_WARP; i < windows; i += GPU_WARP) {
            const T sum = window_sum(s, x_at, w_at, i - s.padding);
            if (beats(sum, i, best, best_at)) {
                best = sum;
                best_at = i;
            }
        }
        for (int bits = GPU_WARP / 2; bits > 0; bits /= 2) {
            const T sum = gpu_shuffle_xor(best, bits);
            const int64_t at = gpu_shuffle_xor((long long)best_at, bits);
            if (beats(sum, at, best, best_at)) {
                best = sum;
                best_at = at;
            }
        }
        if (lane == 0) {
            y[e] = best + (bias ? bias[o * s.bias_step] : (T)0);
            index[e] = (int32_t)best_at;
        }
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    const qn_view *bias = &call->in[QN_CONV1D_MAX_BIAS], *lengths = nullptr;
    if (call->n_in > QN_CONV1D_MAX_LENGTHS)
        lengths = &call->in[QN_CONV1D_MAX_LENGTHS];
    max_shape s = shape_of(call, &call->in[QN_CONV1D_MAX_X], &call->in[QN_CONV1D_MAX_W]);
    s.bias_step = bias->data ? bias->stride[0] : 0;
    s.length_step = lengths && lengths->data ? lengths->stride[0] : 0;
    return gpu_launch(call, max_windows<T>, gpu_blocks(call, s.samples * s.outputs, WARPS),
                      dim3(GPU_WARP, WARPS), 0, s, (const T *)call->in[QN_CONV1D_MAX_X].data,
                      (const T *)call->in[QN_CONV1D_MAX_W].data, (const T *)bias->data,
                      lengths ? (const int64_t *)lengths->data : nullptr,
                      (T *)call->out[QN_CONV1D_MAX_OUT_Y].data,
                      (int32_t *)call->out[QN_CONV1D_MAX_OUT_INDEX].data);
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

/* ---- gradients ------------------------------------------------------------------------------- */

/** g [n, o] and the windows that won, with their strides. */
template <class T> struct winners {
    const T *g;
    const int32_t *index;
    int64_t g_step[2], index_step[2];

    __device__ T grad(int64_t n, int64_t o) const { return g[n * g_step[0] + o * g_step[1]]; }
    __device__ int64_t start(int64_t n, int64_t o, int64_t padding) const {
        return index[n * index_step[0] + o * index_step[1]] - padding;
    }
};

template <class T> winners<T> winners_of(const qn_call *call) {
    const qn_view *g = &call->in[QN_CONV1D_MAX_GRAD_INPUT_G],
                  *index = &call->in[QN_CONV1D_MAX_GRAD_INPUT_INDEX];
    return {(const T *)g->data,
            (const int32_t *)index->data,
            {g->stride[0], g->stride[1]},
            {index->stride[0], index->stride[1]}};
}

/** dx[n, step, c] */
template <class T> __global__ void max_grad_input(max_shape s, winners<T> won, const T *w, T *dx) {
    for (int64_t e = gpu_first(); e < s.samples * s.steps * s.channels; e += gpu_step()) {
        const int64_t c = e % s.channels, step = e / s.channels % s.steps,
                      n = e / s.channels / s.steps;
        gpu_sum<T> sum;
        for (int64_t o = 0; o < s.outputs; o++) {
            const int64_t j = step - won.start(n, o, s.padding);
            if (j >= 0 && j < s.kernel)
                sum.add(won.grad(n, o) * w[o * s.w_step[0] + c * s.w_step[1] + j * s.w_step[2]]);
        }
        dx[e] = (T)sum.value();
    }
}

template <class T> qn_status run_grad_input_as(const qn_call *call) {
    const max_shape s = shape_of(call, call->out, &call->in[QN_CONV1D_MAX_GRAD_INPUT_W]);
    return gpu_launch(call, max_grad_input<T>,
                      gpu_blocks(call, qn_view_count(call->out), TEAM_BLOCK), TEAM_BLOCK, 0, s,
                      winners_of<T>(call), (const T *)call->in[QN_CONV1D_MAX_GRAD_INPUT_W].data,
                      (T *)call->out->data);
}

qn_status run_grad_input(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_grad_input_as<double>(call)
                                      : run_grad_input_as<float>(call);
}

/** dw[o, c, j] */
template <class T> __global__ void max_grad_weight(max_shape s, winners<T> won, const T *x, T *dw) {
    for (int64_t e = gpu_first(); e < s.outputs * s.channels * s.kernel; e += gpu_step()) {
        const int64_t j = e % s.kernel, c = e / s.kernel % s.channels,
                      o = e / s.kernel / s.channels;
        gpu_sum<T> sum;
        for (int64_t n = 0; n < s.samples; n++) {
            const int64_t step = won.start(n, o, s.padding) + j;
            if (step >= 0 && step < s.steps)
                sum.add(won.grad(n, o) * x[n * s.x_step[0] + step * s.x_step[1] + c * s.x_step[2]]);
        }
        dw[e] = (T)sum.value();
    }
}

template <class T> qn_status run_grad_weight_as(const qn_call *call) {
    const max_shape s = shape_of(call, &call->in[QN_CONV1D_MAX_GRAD_WEIGHT_X], call->out);
    return gpu_launch(call, max_grad_weight<T>,
                      gpu_blocks(call, qn_view_count(call->out), TEAM_BLOCK), TEAM_BLOCK, 0, s,
                      winners_of<T>(call), (const T *)call->in[QN_CONV1D_MAX_GRAD_WEIGHT_X].data,
                      (T *)call->out->data);
}

qn_status run_grad_weight(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_grad_weight_as<double>(call)
                                      : run_grad_weight_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_conv1d_max;
const qn_kernel qnk_cuda_conv1d_max = {.size = sizeof(qn_kernel),
                                       .op = "conv1d_max",
                                       .run = run,
                                       .attrs_size = sizeof(qn_conv1d_max_attrs)};

extern "C" const qn_kernel qnk_cuda_conv1d_max_grad_input;
const qn_kernel qnk_cuda_conv1d_max_grad_input = {.size = sizeof(qn_kernel),
                                                  .op = "conv1d_max_grad_input",
                                                  .run = run_grad_input,
                                                  .attrs_size = sizeof(qn_conv1d_max_attrs)};

extern "C" const qn_kernel qnk_cuda_conv1d_max_grad_weight;
const qn_kernel qnk_cuda_conv1d_max_grad_weight = {.size = sizeof(qn_kernel),
                                                   .op = "conv1d_max_grad_weight",
                                                   .run = run_grad_weight,
                                                   .attrs_size = sizeof(qn_conv1d_max_attrs)};
