/* simd_random.h: kernels that fill contiguous memory with random numbers. */
#ifndef QN_SIMD_RANDOM_H
#define QN_SIMD_RANDOM_H

#include "simd_philox.h"

/** Turns the words of V_WIDTH blocks into values, in the order of elements. */
typedef void (*simd_random_body)(const vu word[PHILOX_WORDS], const qn_range_attrs *range,
                                 vf value[PHILOX_WORDS]);

/** What a task needs: the state is copied, since it moves on. */
typedef struct simd_random {
    float *out;
    int64_t count;
    qn_range_attrs range;
    uint64_t key, counter;
} simd_random;

/** For qn_kernel.declines. */
static inline const char *simd_random_declines(const qn_call *call) {
    const qn_view *y = &call->out[0];
    return y->dtype == QN_F32 && qn_view_is_contiguous(y) ? NULL : "contiguous f32 only";
}

/** Runs a task for each piece of the output, and moves the state on. */
static inline qn_status simd_random_run(const qn_call *call, simd_task task) {
    uint64_t *state = call->in[0].data;
    int64_t count = qn_view_count(&call->out[0]);
    simd_random random = {call->out[0].data, count, *(const qn_range_attrs *)call->attrs, state[0],
                          state[1]};
    state[1] += (uint64_t)(count + PHILOX_WORDS - 1) / PHILOX_WORDS;
    simd_parallel(simd_threads(call, 8 * count), (count + PHILOX_PIECE - 1) / PHILOX_PIECE, task,
                  &random);
    return QN_OK;
}

/** Template of a task. */
SIMD_INLINE void simd_random_piece(const void *arg, int64_t index, simd_random_body body) {
    const simd_random r = *(const simd_random *)arg;
    int64_t i = index * PHILOX_PIECE;
    int64_t end = i + PHILOX_PIECE < r.count ? i + PHILOX_PIECE : r.count;
    for (; i < end; i += PHILOX_ELEMENTS) {
        vu word[PHILOX_WORDS];
        vf value[PHILOX_WORDS];
        v_philox(r.key, r.counter + (uint64_t)i / PHILOX_WORDS, word);
        body(word, &r.range, value);
        for (int k = 0; k < PHILOX_WORDS; k++) {
            int64_t at = i + k * V_WIDTH;
            if (at + V_WIDTH <= end)
                v_store(r.out + at, value[k]);
            else
                v_store_part(r.out + at, value[k], simd_lanes_before(at, end));
        }
    }
}

#endif
