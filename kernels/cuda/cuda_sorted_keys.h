/* cuda_sorted_keys.h: different keys sorted on the device: runs by counting, then merged two by
 * two. */
#ifndef QN_CUDA_SORTED_KEYS_H
#define QN_CUDA_SORTED_KEYS_H

#include "cuda_reduce.h"

enum { SORTED_RUN = 128 };

/** Puts each key where it belongs in its run of SORTED_RUN: behind those that are smaller. */
struct sort_runs {
    const int64_t *keys;
    int64_t *out, count;

    __device__ void operator()(int64_t i) const {
        const int64_t begin = i / SORTED_RUN * SORTED_RUN;
        const int64_t end = begin + SORTED_RUN < count ? begin + SORTED_RUN : count;
        int64_t place = begin;
        for (int64_t j = begin; j < end; j++)
            place += keys[j] < keys[i];
        out[place] = keys[i];
    }
};

/** Merges the sorted runs 2 k and 2 k + 1, each of `length` keys, the last perhaps of fewer. */
struct merge_runs {
    const int64_t *keys;
    int64_t *out, count, length;

    __device__ void operator()(int64_t i) const {
        const int64_t run = i / length, other = (run ^ 1) * length;
        int64_t low = other < count ? other : count;
        int64_t high = other + length < count ? other + length : count;
        while (low < high) { /* the first of the other run that is greater */
            const int64_t middle = low + (high - low) / 2;
            if (keys[middle] < keys[i])
                low = middle + 1;
            else
                high = middle;
        }
        const int64_t smaller = other < count ? low - other : 0;
        out[(run & ~INT64_C(1)) * length + i % length + smaller] = keys[i];
    }
};

/** Sorts `count` keys, no two alike, in ascending order. Both arrays hold `count`; the result is
 * left in the one that *sorted points to. */
inline qn_status sort_keys(const qn_call *call, int64_t *keys, int64_t *other, int64_t count,
                           int64_t **sorted) {
    qn_status status = each_launch(call, count, sort_runs{keys, other, count});
    for (int64_t length = SORTED_RUN; length < count && status == QN_OK; length *= 2) {
        int64_t *from = other;
        other = keys;
        keys = from;
        status = each_launch(call, count, merge_runs{from, other, count, length});
    }
    *sorted = other;
    return status;
}

#endif
