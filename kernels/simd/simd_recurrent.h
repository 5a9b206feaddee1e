/* simd_recurrent.h: what lstm and gru share: packed weights, and the order of the work.
 *
 * A sequence is a chain of products with the same weights, small ones, and each needs the whole result
 * of the one before. So the weights are packed once for all steps, and the gates are computed from the
 * sums while those are in L1. On the way back the product of a step and the gates of the step below it
 * are one pass over the columns. Work is divided in one of two ways, which give the same bits, since no
 * sum is ever divided:
 *
 * - by samples, where the weights fit the second-level cache: samples do not depend on each other, so a
 *   thread takes its samples through all steps and never waits;
 * - by columns of the state elsewhere: each thread keeps its part of the weights in its cache, and all
 *   wait for each other once a step. */
#ifndef QN_SIMD_RECURRENT_H
#define QN_SIMD_RECURRENT_H

#include "simd_gemm.h"
#include "simd_sequence.h"

/** Work in `iterations` rounds on rows x blocks of columns, each round after the one before. */
typedef struct recurrent_work {
    int64_t iterations, rows, blocks;
    int64_t weights; /**< floats of packed weights */
    double products; /**< multiplications in an iteration */
    /** Does `rows` rows from `row` on of one block. */
    void (*part)(const void *arg, int64_t iteration, int64_t row, int64_t rows, int64_t block);
    const void *arg;
} recurrent_work;

#define recurrent_run SIMD_NAME(recurrent_run_)
#define recurrent_pack_gates SIMD_NAME(recurrent_pack_gates_)
#define recurrent_pack_back SIMD_NAME(recurrent_pack_back_)
#define recurrent_product SIMD_NAME(recurrent_product_)
#define recurrent_product_back SIMD_NAME(recurrent_product_back_)
#define recurrent_copy SIMD_NAME(recurrent_copy_)

/** Does all of it on up to `threads` threads. */
void recurrent_run(const recurrent_work *work, int threads);

/** Blocks of V_WIDTH columns of a state, as the way forward takes them, and of GEMM_COLS, as the way back
 * does. */
SIMD_INLINE int64_t recurrent_blocks(int64_t hidden) { return (hidden + V_WIDTH - 1) / V_WIDTH; }

SIMD_INLINE int64_t recurrent_blocks_back(int64_t hidden) {
    return (hidden + GEMM_COLS - 1) / GEMM_COLS;
}

/** Floats of W_hh [gates hidden, hidden] packed for either way. */
SIMD_INLINE int64_t recurrent_room(int gates, int64_t hidden) {
    return gates * hidden * gemm_round_up(hidden, GEMM_COLS);
}

/** Packs W_hh for the way forward: for each block of columns of the state the rows of all its gates, two
 * gates side by side. */
void recurrent_pack_gates(const qn_view *w, int gates, float *packed, int threads);

/** Packs W_hh for the way back: panels of GEMM_COLS columns, all rows. */
void recurrent_pack_back(const qn_view *w, float *packed, int threads);

/** sums[row][gate][V_WIDTH] = h W_hh^T for up to GEMM_ROWS rows of h [.., hidden] and one block. */
void recurrent_product(const float *h, int rows, int64_t hidden, int gates, const float *packed,
                       int64_t block, float *sums);

/** dh += g W_hh for `rows` rows of g [.., count] and one block of columns of dh [.., hidden]. */
void recurrent_product_back(const float *g, int64_t rows, int64_t count, const float *packed,
                            int64_t block, float *dh, int64_t hidden);

/** Copies an array of `count` elements and any strides; zeros where it is absent. */
void recurrent_copy(const qn_call *call, const qn_view *from, int64_t count, float *to);

/** The step that is taken as number `count`. */
SIMD_INLINE int64_t recurrent_step(int64_t count, int64_t steps, bool reverse) {
    return reverse ? steps - 1 - count : count;
}

/** Whether a step is within the sample's length. */
SIMD_INLINE bool recurrent_within(const qn_view *lengths, int64_t step, int64_t sample) {
    return step < sequence_length(lengths, sample, step + 1);
}

/** Whether it is for any of these samples. */
SIMD_INLINE bool recurrent_any_within(const qn_view *lengths, int64_t step, int64_t first,
                                      int64_t count) {
    bool any = false;
    for (int64_t i = first; i < first + count; i++)
        any = any || recurrent_within(lengths, step, i);
    return any;
}

/** Loads and stores of the last vector of a row, which may be a part of one. */
SIMD_INLINE vf recurrent_load(const float *p, int64_t part) {
    return part == V_WIDTH ? v_load(p) : v_load_part(p, part);
}

SIMD_INLINE void recurrent_store(float *p, vf x, int64_t part) {
    if (part == V_WIDTH)
        v_store(p, x);
    else
        v_store_part(p, x, part);
}

/** The same of a sequence [t, n, hidden] of any strides, which may be absent: zeros. */
SIMD_INLINE vf recurrent_load_at(const qn_view *sequence, int64_t step, int64_t sample, int64_t j,
                                 int64_t part) {
    const int64_t *stride = sequence->stride;
    if (!sequence->data)
        return (vf){0};
    const float *p =
        (const float *)sequence->data + step * stride[0] + sample * stride[1] + j * stride[2];
    if (stride[2] == 1)
        return recurrent_load(p, part);
    vf x = {0};
    for (int64_t i = 0; i < part; i++)
        x[i] = p[i * stride[2]];
    return x;
}

#endif
