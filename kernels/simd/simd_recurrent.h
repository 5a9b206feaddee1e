/* simd_recurrent.h: what lstm and gru share: packed weights, the steps, and the order of the work.
 *
 * A sequence is a chain of products with the same weights, small ones, and each needs the whole
 * result of the one before. So the weights are packed once for all steps, and the gates are
 * computed from the sums while those are in L1. On the way back the product of a step and the gates
 * of the step below it are one pass over the columns. Work is divided in one of two ways, which
 * give the same bits, since no sum is ever divided:
 *
 * - by samples, where the weights fit the second-level cache: samples do not depend on each other,
 *   so a thread takes its samples through all steps and never waits;
 * - by columns of the state elsewhere: each thread keeps its part of the weights in its cache, and
 *   all wait for each other once a step. */
#ifndef QN_SIMD_RECURRENT_H
#define QN_SIMD_RECURRENT_H

#include "simd_gemm.h"
#include "simd_sequence.h"

/** The extents of a call. */
typedef struct recurrent_shape {
    int gates; /**< blocks of `hidden` rows of the weights */
    int64_t steps, n, hidden;
    bool reverse;
    qn_view lengths; /**< of the samples; may be absent */
} recurrent_shape;

/** Some samples, and some columns of the state, at one step. */
typedef struct recurrent_cells {
    int64_t step;
    int64_t first, rows; /**< samples */
    int64_t j, end;      /**< columns */
    int64_t row;         /**< of sample 0 at this step in [t, n, ..] arrays */
    int64_t before;      /**< at the step taken before; negative at the first */
    const float *sums;   /**< way forward: the products with the weights [rows][gates][V_WIDTH] */
} recurrent_cells;

/** All steps one way. */
typedef struct recurrent_pass {
    const recurrent_shape *shape;
    const qn_view *w; /**< W_hh [gates hidden, hidden] */
    float *packed;    /**< room for it packed: recurrent_room() */
    /* Way forward: the states [t, n, hidden] that it makes, and before the first (NULL: zeros). */
    const float *h, *h0;
    /* Way back: the gradients of the products [t, n, gates hidden] that it makes, and of the state
     * [n, hidden]: after the step at hand, then before it. */
    const float *g;
    float *dh;
    /** Computes cells from `sums`, or makes `g` and what dh gets besides the product of g. */
    void (*cells)(const void *arg, recurrent_cells at);
    const void *arg;
} recurrent_pass;

#define recurrent_forward SIMD_NAME(recurrent_forward_)
#define recurrent_backward SIMD_NAME(recurrent_backward_)
#define recurrent_shape_of SIMD_NAME(recurrent_shape_of_)
#define recurrent_copy SIMD_NAME(recurrent_copy_)
#define recurrent_declines SIMD_NAME(recurrent_declines_)
#define recurrent_declines_grad SIMD_NAME(recurrent_declines_grad_)

/** The extents of a call, whose input `like` is [t, n, ..], and `lengths` the lengths. */
recurrent_shape recurrent_shape_of(const qn_call *call, int gates, int64_t hidden, int like,
                                   int lengths);

/** Takes all steps on up to the call's threads, or goes all the way back, where `dh` begins as
 * zeros. */
void recurrent_forward(const qn_call *call, const recurrent_pass *pass);
void recurrent_backward(const qn_call *call, const recurrent_pass *pass);

/** Floats of W_hh [gates hidden, hidden] packed for either way. */
SIMD_INLINE int64_t recurrent_room(int gates, int64_t hidden) {
    return gates * hidden * gemm_round_up(hidden, GEMM_COLS);
}

/** Copies an array of `count` elements and any strides; zeros where it is absent. */
void recurrent_copy(const qn_call *call, const qn_view *from, int64_t count, float *to);

/** Wants f32 and input products, input 0, that are contiguous. */
const char *recurrent_declines(const qn_call *call);

/** Wants f32 and contiguous kept arrays, inputs `states` and `states` + 1. */
const char *recurrent_declines_grad(const qn_call *call, int states);

/** Whether a step is within the sample's length. */
SIMD_INLINE bool recurrent_within(const qn_view *lengths, int64_t step, int64_t sample) {
    return step < sequence_length(lengths, sample, step + 1);
}

/** The states [n, hidden] before the cells' step, of all `states` [t, n, hidden] or the `start`. */
SIMD_INLINE const float *recurrent_before(const recurrent_cells *at, const float *states,
                                          const float *start, int64_t hidden) {
    return at->before < 0 ? start : states + at->before * hidden;
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
