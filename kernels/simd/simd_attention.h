/* simd_attention.h: what attention and its gradient share.
 *
 * A head's scores are computed in blocks of ATTENTION_KEYS x ATTENTION_QUERIES, keys by rows: a
 * lane is a query, so that greatest score, sum and dropout are vertical, however short the vectors
 * of a head are. The products are tiles of simd_gemm.h on operands that were transposed once a
 * head. */
#ifndef QN_SIMD_ATTENTION_H
#define QN_SIMD_ATTENTION_H

#include <math.h>

#include "simd_gemm.h"
#include "simd_math.h"
#include "simd_philox.h"

/** Extents of a block of scores. */
enum { ATTENTION_KEYS = 64, ATTENTION_QUERIES = 64 };

/** Longest rows of scores: their offsets are counted in 32 bits. */
enum { ATTENTION_LONGEST = 1 << 26 };

/** Vectors of one head, one a position: element c of position t at at[t * step + c]. */
typedef struct attention_rows {
    float *at;
    int64_t step;
} attention_rows;

/** What the heads of a call have in common. */
typedef struct attention_plan {
    int64_t heads, tq, tk, d;
    float scale;
    bool causal;
    const qn_view *mask;        /**< NULL: none */
    uint64_t key, counter;      /**< random state of the dropout */
    int32_t threshold;          /**< u >= p as u's 24 bits >= threshold; 0: no dropout */
    float factor;               /**< 1 / (1 - p) */
    int64_t tq_pitch, tk_pitch; /**< tq and tk in whole vectors */
} attention_plan;

/** A block of one head: queries i .. i + queries - 1 and keys j .. j + keys - 1. */
typedef struct attention_block {
    int64_t n, h, i, j, queries, keys;
    int64_t pitch; /**< queries in whole vectors: floats from one key to the next */
} attention_block;

static inline int64_t attention_whole(int64_t count) { return gemm_round_up(count, V_WIDTH); }

/** q, k, mask and the random state of a call. */
static inline attention_plan attention_plan_of(const qn_call *call, int q, int mask,
                                               const uint64_t *state) {
    const qn_attention_attrs *attrs = call->attrs;
    const int64_t *shape = call->in[q].shape, tk = call->in[q + 1].shape[1];
    attention_plan plan = {.heads = shape[2],
                           .tq = shape[1],
                           .tk = tk,
                           .d = shape[3],
                           .scale = (float)attrs->scale,
                           .causal = attrs->causal != 0,
                           .mask = call->in[mask].data ? &call->in[mask] : NULL,
                           .tq_pitch = attention_whole(shape[1]),
                           .tk_pitch = attention_whole(tk)};
    if (attrs->dropout > 0) {
        plan.key = state[0];
        plan.counter = state[1];
        plan.threshold = (int32_t)ceil(attrs->dropout * 0x1p24);
        plan.factor = (float)(1 / (1 - attrs->dropout));
    }
    return plan;
}

/** Whether `count` inputs from `first` on are f32 with vectors that lie in one piece, each position
 * in its own: to a tile a step of 0 says something else. */
static inline const char *attention_declines(const qn_call *call, int first, int count) {
    for (int i = first; i < first + count; i++) {
        if (call->in[i].dtype != QN_F32)
            return "f32 only";
        if (call->in[i].shape[3] > 1 && call->in[i].stride[3] != 1)
            return "vectors of a head must be contiguous";
        if (call->in[i].shape[1] > 1 && call->in[i].stride[1] == 0)
            return "positions must not repeat";
        if (call->in[i].shape[1] > ATTENTION_LONGEST)
            return "sequence too long";
    }
    return NULL;
}

/** Multiplications of a call's scores: what threads are decided by. */
static inline int attention_slots(const qn_call *call, const qn_view *q, int64_t tk,
                                  int64_t tasks) {
    const int threads = simd_threads(call, qn_view_count(q) * tk / 4);
    return (int)cpu_min(threads, tasks < 1 ? 1 : tasks);
}

static inline attention_rows attention_head(const qn_view *x, int64_t n, int64_t h) {
    return (attention_rows){(float *)x->data + n * x->stride[0] + h * x->stride[2], x->stride[1]};
}

/** to[c * pitch + t] = x's element c of position t, zeros up to the last
 * whole vector of positions. */
static inline void attention_turn(attention_rows x, int64_t count, int64_t d, float *to,
                                  int64_t pitch) {
    for (int64_t t = 0; t < count; t += V_WIDTH)
        gemm_pack(x.at + t * x.step, x.step, 1, (int)cpu_min(V_WIDTH, count - t), d, to + t, pitch);
}

/** c [rows, cols] = (or += ) a [rows, k] b [k, cols]; b and c in whole vectors of columns. */
static inline void attention_product(attention_rows a, int64_t rows, int64_t k, attention_rows b,
                                     int64_t cols, attention_rows c, bool accumulate) {
    gemm_tile tile = {
        .k = k, .a_step = a.step, .b_step = b.step, .c_step = c.step, .accumulate = accumulate};
    for (int64_t panel = 0; panel < gemm_row_panels(rows); panel++) {
        const int64_t row = gemm_row_start(rows, panel);
        tile.rows = (int)(gemm_row_start(rows, panel + 1) - row);
        tile.a = a.at + row * a.step;
        for (int64_t col = 0; col < cols; col += GEMM_COLS) {
            tile.cols = cpu_min(GEMM_COLS, cols - col);
            tile.b = b.at + col;
            tile.c = c.at + row * c.step + col;
            gemm_tile_run(&tile);
        }
    }
}

/** Scores that the mask hides become -infinity. */
static inline void attention_mask(const attention_plan *plan, const attention_block *b, float *s) {
    const int64_t *step = plan->mask->stride;
    const uint8_t *at = (const uint8_t *)plan->mask->data + b->n * step[0] + b->h * step[1] +
                        b->i * step[2] + b->j * step[3];
    for (int64_t j = 0; j < b->keys; j++, at += step[3], s += b->pitch) {
        if (step[2] != 0) {
            for (int64_t i = 0; i < b->queries; i++)
                s[i] = at[i * step[2]] ? s[i] : -INFINITY;
        } else if (!*at) {
            for (int64_t i = 0; i < b->pitch; i += V_WIDTH)
                v_store(s + i, v_set(-INFINITY));
        }
    }
}

/** Scores of keys that come after their query become -infinity. */
static inline void attention_causal(const attention_plan *plan, const attention_block *b,
                                    float *s) {
    for (int64_t j = 0; j < b->keys; j++, s += b->pitch) {
        const int64_t first = b->j + j - (plan->tk - plan->tq) - b->i; /* the first that may look */
        for (int64_t i = 0; i < b->pitch && i < first; i += V_WIDTH) {
            const vi hidden = v_iota() < (int32_t)cpu_min(V_WIDTH, first - i);
            v_store(s + i, v_select(hidden, v_set(-INFINITY), v_load(s + i)));
        }
    }
}

/** s [keys, queries] = k q^T of a block, hidden ones -infinity. `q` is scaled, and lies by elements
 * of its vectors. */
static inline void attention_scores(const attention_plan *plan, const attention_block *b,
                                    attention_rows k, attention_rows q, float *s) {
    attention_product(k, b->keys, plan->d, q, b->pitch, (attention_rows){s, b->pitch}, false);
    if (plan->mask)
        attention_mask(plan, b, s);
    if (plan->causal)
        attention_causal(plan, b, s);
}

/** Whether no query of a block may look at any of its keys. */
static inline bool attention_unseen(const attention_plan *plan, const attention_block *b) {
    return plan->causal && b->j > b->i + b->queries - 1 + plan->tk - plan->tq;
}

/** keep [keys, queries] = 1 / (1 - p) or 0 for a block. Weights are numbered along the keys, and
 * four share a block of random words; the first key of a lane's row may be any of its four. */
static inline void attention_keep(const attention_plan *plan, const attention_block *b,
                                  float *keep) {
    const int64_t row = ((b->n * plan->heads + b->h) * plan->tq + b->i) * plan->tk + b->j;
    for (int64_t i = 0; i < b->pitch; i += V_WIDTH) {
        const int64_t first = row + i * plan->tk;
        const vu at = (vu)v_iota() * (uint32_t)plan->tk + (uint32_t)(first % PHILOX_WORDS);
        const vu place = at % PHILOX_WORDS;
        const uint64_t counter = plan->counter + (uint64_t)first / PHILOX_WORDS;
        vu word[2 * PHILOX_WORDS];
        v_philox_at(plan->key, counter, at / PHILOX_WORDS, word);
        for (int64_t j = 0; j < b->keys; j += PHILOX_WORDS) {
            v_philox_at(plan->key, counter, at / PHILOX_WORDS + (uint32_t)(j / PHILOX_WORDS + 1),
                        word + PHILOX_WORDS);
            for (int w = 0; w < PHILOX_WORDS; w++) {
                vu mine = word[w];
                for (uint32_t p = 1; p < PHILOX_WORDS; p++)
                    mine = (vu)v_select((vi)(place == p), (vf)word[w + p], (vf)mine);
                const vi kept = v_philox_bits(mine) >= plan->threshold;
                v_store(keep + (j + w) * b->pitch + i, (vf)((vi)v_set(plan->factor) & kept));
                word[w] = word[w + PHILOX_WORDS];
            }
        }
    }
}

#endif
