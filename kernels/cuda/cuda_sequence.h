/* cuda_sequence.h: sequences of varying length in one padded array. */
#ifndef QN_CUDA_SEQUENCE_H
#define QN_CUDA_SEQUENCE_H

#include "cuda_reduce.h"

/** The length of each sample; all steps where lengths are absent. */
struct sequence_lengths {
    const int64_t *lengths;
    int64_t stride, steps;
    cuda_fault *fault;
    uint64_t op;

    /** A length that is not within 0 and `steps` is a fault, and held within them. */
    __device__ int64_t of(int64_t sample) const {
        if (!lengths)
            return steps;
        const int64_t length = lengths[sample * stride];
        if (length >= 0 && length <= steps)
            return length;
        gpu_fault(fault, CUDA_FAULT_LENGTH, op, length, sample, steps);
        return length < 0 ? 0 : steps;
    }
};

inline sequence_lengths sequence_lengths_of(const qn_call *call, const qn_view *lengths,
                                            int64_t steps) {
    return {(const int64_t *)lengths->data, lengths->data ? lengths->stride[0] : 0, steps,
            cuda_queue_of(call)->fault, gpu_op(call)};
}

/** A view [n, t, c]. */
template <class T> struct sequence_view {
    const T *data;
    int64_t stride[3];

    __device__ T get(int64_t sample, int64_t step, int64_t channel) const {
        return data[sample * stride[0] + step * stride[1] + channel * stride[2]];
    }
};

/** A view [n, t, c], or one [n, c] that stands still along t. */
template <class T> inline sequence_view<T> sequence_view_of(const qn_view *view) {
    if (view->rank == 2)
        return {(const T *)view->data, {view->stride[0], 0, view->stride[1]}};
    return {(const T *)view->data, {view->stride[0], view->stride[1], view->stride[2]}};
}

#endif
