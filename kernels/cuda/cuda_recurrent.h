/* cuda_recurrent.h: sequences by time, [t, n, hidden], as lstm and gru see them. A step is a launch
 * or two: the next one needs all of its states. */
#ifndef QN_CUDA_RECURRENT_H
#define QN_CUDA_RECURRENT_H

#include "cuda_copy.h"
#include "cuda_reduce.h"
#include "cuda_walk.h"

enum { RECURRENT_WARPS = 8 };

/** An array [t, n, width], or [n, width] with no step along time; may be absent. */
template <class T> struct sequence {
    T *data;
    int64_t step, sample, unit;

    __device__ T load(int64_t t, int64_t i, int64_t j) const {
        return data ? data[t * step + i * sample + j * unit] : (T)0;
    }
    __device__ void store(int64_t t, int64_t i, int64_t j, T value) const {
        data[t * step + i * sample + j * unit] = value;
    }
};

template <class T> inline sequence<T> sequence_of(const qn_view *view) {
    const bool timed = view->rank == 3;
    if (!view->data)
        return {nullptr, 0, 0, 0};
    return {(T *)view->data, timed ? view->stride[0] : 0, view->stride[timed ? 1 : 0],
            view->stride[timed ? 2 : 1]};
}

/** What the steps of a call share. */
struct recurrent_shape {
    int64_t steps, samples, hidden, w_row, w_column, b_step, length_step;
    const int64_t *lengths;
    int reverse;
    cuda_fault *fault;
    uint64_t op;

    /** The step that is taken as number `count`, and the one before it; -1
     * where that is the start. */
    __host__ __device__ int64_t step_of(int64_t count) const {
        return reverse ? steps - 1 - count : count;
    }
    __device__ int64_t before(int64_t step) const {
        const int64_t at = reverse ? step + 1 : step - 1;
        return at < steps ? at : -1;
    }
    /** Whether a sample is that long. */
    __device__ bool goes_on(int64_t sample, int64_t step) const {
        return !lengths || step < lengths[sample * length_step];
    }
    /** Notes a length that is none. */
    __device__ void check(int64_t sample) const {
        const int64_t length = lengths ? lengths[sample * length_step] : 0;
        if (length < 0 || length > steps)
            gpu_fault(fault, CUDA_FAULT_LENGTH, op, length, sample, steps);
    }
};

inline recurrent_shape recurrent_shape_of(const qn_call *call, const qn_view *states,
                                          const qn_view *w, const qn_view *lengths) {
    recurrent_shape s = {};
    s.steps = states->shape[0];
    s.samples = states->shape[1];
    s.hidden = states->shape[2];
    s.w_row = w->stride[0];
    s.w_column = w->stride[1];
    s.lengths = (const int64_t *)lengths->data;
    s.length_step = lengths->data ? lengths->stride[0] : 0;
    s.reverse = ((const qn_recurrent_attrs *)call->attrs)->reverse;
    s.fault = cuda_queue_of(call)->fault;
    s.op = gpu_op(call);
    return s;
}

/** The state of a sample before a step, unit j: of the step taken before, or the start. */
template <class T>
__device__ inline T state_before(const recurrent_shape &s, const sequence<T> &states,
                                 const sequence<T> &start, int64_t step, int64_t sample,
                                 int64_t j) {
    const int64_t before = s.before(step);
    return before < 0 ? start.load(0, sample, j) : states.load(before, sample, j);
}

/** For one sample and unit j, by a warp: the products of rows j, hidden + j, ... of the weights
 * with the state before the step. Every lane gets all. */
template <int gates, class T>
__device__ inline void recurrent_products(const recurrent_shape &s, const T *w,
                                          const sequence<T> &states, const sequence<T> &start,
                                          int64_t step, int64_t sample, int64_t j, T *sums) {
    for (int q = 0; q < gates; q++)
        sums[q] = 0;
    for (int64_t p = threadIdx.x; p < s.hidden; p += GPU_WARP) {
        const T h = state_before(s, states, start, step, sample, p);
        for (int q = 0; q < gates; q++)
            sums[q] += w[(q * s.hidden + j) * s.w_row + p * s.w_column] * h;
    }
    for (int q = 0; q < gates; q++)
        sums[q] = warp_reduce(sums[q], reduce_plus{});
}

/** The gradient that a step's state gets through the weights: dh[i, p] (+)= sum over rows r of w[r,
 * p] d[i, r]. Past a sample's length dh stays as it is. */
template <class T>
__global__ void recurrent_back(recurrent_shape s, int64_t step, int64_t rows, bool add, const T *w,
                               sequence<T> d, sequence<T> dh) {
    for (int64_t e = gpu_first(); e < s.samples * s.hidden; e += gpu_step()) {
        const int64_t i = e / s.hidden, p = e % s.hidden;
        if (!s.goes_on(i, step))
            continue;
        gpu_sum<T> sum;
        for (int64_t r = 0; r < rows; r++)
            sum.add(w[r * s.w_row + p * s.w_column] * d.load(step, i, r));
        dh.store(0, i, p, (add ? dh.load(0, i, p) : (T)0) + (T)sum.value());
    }
}

/** Blocks for a warp a sample and unit, and for a thread. */
inline dim3 recurrent_warps(const qn_call *call, const recurrent_shape &s) {
    return gpu_blocks(call, s.samples * s.hidden, RECURRENT_WARPS);
}
inline dim3 recurrent_threads(const qn_call *call, const recurrent_shape &s) {
    return gpu_blocks(call, s.samples * s.hidden, TEAM_BLOCK);
}

#endif
