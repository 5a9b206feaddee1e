/* simd_sequence.h: sequences of varying length in one padded array. */
#ifndef QN_SIMD_SEQUENCE_H
#define QN_SIMD_SEQUENCE_H

#include <stdio.h>

#include "simd.h"

/** The length of a sample; `steps` where lengths are absent. */
SIMD_INLINE int64_t sequence_length(const qn_view *lengths, int64_t sample, int64_t steps) {
    return lengths->data ? ((const int64_t *)lengths->data)[sample * lengths->stride[0]] : steps;
}

/** Fails when a length is not within 0 and `steps`: the reason names it. */
static inline qn_status sequence_check_lengths(const qn_call *call, const qn_view *lengths,
                                               int64_t steps) {
    for (int64_t i = 0; lengths->data && i < lengths->shape[0]; i++) {
        const int64_t length = sequence_length(lengths, i, steps);
        if (length >= 0 && length <= steps)
            continue;
        snprintf(call->reason, QN_REASON_SIZE, "length of sample %lld is %lld, expected 0 .. %lld",
                 (long long)i, (long long)length, (long long)steps);
        return QN_INVALID_ARGUMENT;
    }
    return QN_OK;
}

/** Kernels over channels want f32 with the channels, the last axis, side by side. */
static inline const char *sequence_declines(const qn_view *x) {
    if (x->dtype != QN_F32)
        return "f32 only";
    return x->stride[x->rank - 1] == 1 || x->shape[x->rank - 1] == 1
               ? NULL
               : "channels are not side by side";
}

#endif
