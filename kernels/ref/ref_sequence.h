/* ref_sequence.h: sequences of varying length in one padded array. */
#ifndef QN_REF_SEQUENCE_H
#define QN_REF_SEQUENCE_H

#include "ref.h"

/** The length of a sample; `steps` where lengths are absent. */
static inline int64_t ref_length(const qn_view *lengths, int64_t sample, int64_t steps) {
    return lengths->data ? ref_load_index(lengths, sample * lengths->stride[0]) : steps;
}

/** Fails when a length is not within 0 and `steps`: the reason names it. */
static inline qn_status ref_check_lengths(const qn_call *call, const qn_view *lengths,
                                          int64_t steps) {
    for (int64_t i = 0; lengths->data && i < lengths->shape[0]; i++) {
        int64_t length = ref_length(lengths, i, steps);
        if (length >= 0 && length <= steps)
            continue;
        snprintf(call->reason, QN_REASON_SIZE, "length of sample %lld is %lld, expected 0 .. %lld",
                 (long long)i, (long long)length, (long long)steps);
        return QN_INVALID_ARGUMENT;
    }
    return QN_OK;
}

#endif
