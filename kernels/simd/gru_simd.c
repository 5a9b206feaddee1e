/* gru_simd.c: all steps of a GRU, and the way back. See simd_recurrent.h. */
#include <string.h>

#include "simd_math.h"
#include "simd_recurrent.h"

/* Gates r, z, n in the weights; the kept array [t, n, 4 hidden] has W_hn h + b_hn behind them. */
enum { GATES = 3, KEPT = 4 };

/* A call: [t, n, hidden] arrays are contiguous unless they are views. */
typedef struct gru {
    int64_t steps, n, hidden;
    bool reverse;
    qn_view lengths;
    const float *packed; /* weights */
    const float *gx;
    const float *bias; /* b_hh [3 hidden] */
    const float *h0;   /* [n, hidden], or NULL: zeros */
    float *y, *gates;
} gru;

/* n = tanh(gx_n + r a), h' = n + z (h - n) for the columns from j on of one sample. */
SIMD_INLINE void activate(const gru *l, int64_t row, const float *sums, vf before, int64_t j,
                          int64_t part) {
    const int64_t h = l->hidden;
    const float *x = l->gx + GATES * row * h + j, *bias = l->bias + j;
    float *gates = l->gates + KEPT * row * h + j;
    const vf sum_r = v_load(sums) + recurrent_load(bias, part);
    const vf sum_z = v_load(sums + V_WIDTH) + recurrent_load(bias + h, part);
    const vf a = v_load(sums + 2 * V_WIDTH) + recurrent_load(bias + 2 * h, part);
    const vf r = v_sigmoid(recurrent_load(x, part) + sum_r);
    const vf z = v_sigmoid(recurrent_load(x + h, part) + sum_z);
    const vf n = v_tanh(v_fma(r, a, recurrent_load(x + 2 * h, part)));
    recurrent_store(gates, r, part);
    recurrent_store(gates + h, z, part);
    recurrent_store(gates + 2 * h, n, part);
    recurrent_store(gates + 3 * h, a, part);
    recurrent_store(l->y + row * h + j, v_fma(z, before, (1.0f - z) * n), part);
}

/* Up to GEMM_ROWS samples from `first` on at one step, of the columns of one block. */
static void forward_panel(const gru *l, int64_t count, int64_t first, int rows, int64_t block) {
    const int64_t h = l->hidden, step = recurrent_step(count, l->steps, l->reverse);
    const int64_t before = recurrent_step(count - 1, l->steps, l->reverse) * l->n;
    const int64_t j = block * V_WIDTH, part = gemm_min(V_WIDTH, h - j);
    const float *h_before = count > 0 ? l->y + before * h : l->h0;
    float sums[GEMM_ROWS * GATES * V_WIDTH] __attribute__((aligned(64))) = {0};
    if (h_before && recurrent_any_within(&l->lengths, step, first, rows))
        recurrent_product(h_before + first * h, rows, h, GATES, l->packed, block, sums);
    for (int64_t i = 0; i < rows; i++) {
        const int64_t sample = first + i, row = step * l->n + sample;
        const vf state = h_before ? recurrent_load(h_before + sample * h + j, part) : (vf){0};
        if (recurrent_within(&l->lengths, step, sample))
            activate(l, row, sums + i * GATES * V_WIDTH, state, j, part);
        else
            recurrent_store(l->y + row * h + j, state, part);
    }
}

static void forward_part(const void *arg, int64_t iteration, int64_t row, int64_t rows,
                         int64_t block) {
    for (int64_t panel = 0; panel < gemm_row_panels(rows); panel++) {
        const int64_t first = gemm_row_start(rows, panel);
        forward_panel(arg, iteration, row + first, (int)(gemm_row_start(rows, panel + 1) - first),
                      block);
    }
}

static const char *declines(const qn_call *call) {
    if (call->in[0].dtype != QN_F32)
        return "f32 only";
    return qn_view_is_contiguous(&call->in[0]) ? NULL : "input products are not contiguous";
}

/* The packed weights, then b_hh and h0. */
static size_t workspace(const qn_call *call) {
    const int64_t n = call->in[0].shape[1], hidden = call->in[1].shape[1];
    return (size_t)(recurrent_room(GATES, hidden) + (GATES + n) * hidden) * sizeof(float);
}

static qn_status run(const qn_call *call) {
    const qn_view *gx = &call->in[0], *w = &call->in[1];
    const int64_t n = gx->shape[1], hidden = w->shape[1];
    float *packed = call->workspace, *bias = packed + recurrent_room(GATES, hidden);
    float *h0 = bias + GATES * hidden;
    const gru l = {.steps = gx->shape[0],
                   .n = n,
                   .hidden = hidden,
                   .reverse = ((const qn_recurrent_attrs *)call->attrs)->reverse,
                   .lengths = call->in[4],
                   .packed = packed,
                   .gx = gx->data,
                   .bias = bias,
                   .h0 = call->in[3].data ? h0 : NULL,
                   .y = call->out[0].data,
                   .gates = call->out[1].data};
    const qn_status status = sequence_check_lengths(call, &l.lengths, l.steps);
    if (status != QN_OK)
        return status;
    recurrent_copy(call, &call->in[2], GATES * hidden, bias);
    recurrent_copy(call, &call->in[3], n * hidden, h0);
    recurrent_pack_gates(w, GATES, packed, simd_threads(call, GATES * hidden * hidden));
    const recurrent_work work = {.iterations = l.steps,
                                 .rows = n,
                                 .blocks = recurrent_blocks(hidden),
                                 .weights = GATES * hidden * hidden,
                                 .products = (double)(n * GATES * hidden) * (double)hidden,
                                 .part = forward_part,
                                 .arg = &l};
    recurrent_run(&work, call->threads);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(gru) = {.size = sizeof(qn_kernel),
                                    .op = "gru",
                                    .declines = declines,
                                    .workspace = workspace,
                                    .run = run};

/* ---- gradient ---------------------------------------------------------------------------- */

typedef struct gru_back {
    int64_t steps, n, hidden;
    bool reverse;
    qn_view lengths;
    const float *packed;
    qn_view g_y;
    const float *h0, *y, *gates;
    float *dgx, *dgh;
    float *dh; /* [n, hidden]: of the state after the step at hand, then of that before it */
} gru_back;

/* One sample and step, the columns from j on: the gradients of gx and of W_hh h + b_hh, and what dh gets
 * besides the product with the weights. */
SIMD_INLINE void gates_back(const gru_back *l, int64_t step, int64_t sample, const float *before,
                            int64_t j, int64_t part) {
    const int64_t h = l->hidden, row = step * l->n + sample, at = sample * h + j;
    const float *gates = l->gates + KEPT * row * h + j;
    float *dgx = l->dgx + GATES * row * h + j, *dgh = l->dgh + GATES * row * h + j;
    const vf dh =
        recurrent_load(l->dh + at, part) + recurrent_load_at(&l->g_y, step, sample, j, part);
    vf dr = {0}, dz = {0}, dn = {0}, da = {0}, left = dh;
    if (recurrent_within(&l->lengths, step, sample)) {
        const vf r = recurrent_load(gates, part), z = recurrent_load(gates + h, part);
        const vf n = recurrent_load(gates + 2 * h, part), a = recurrent_load(gates + 3 * h, part);
        dn = dh * (1.0f - z) * (1.0f - n * n);
        da = dn * r;
        dr = dn * a * r * (1.0f - r);
        dz = dh * (recurrent_load(before + j, part) - n) * z * (1.0f - z);
        left = dh * z;
    }
    recurrent_store(dgx, dr, part);
    recurrent_store(dgx + h, dz, part);
    recurrent_store(dgx + 2 * h, dn, part);
    recurrent_store(dgh, dr, part);
    recurrent_store(dgh + h, dz, part);
    recurrent_store(dgh + 2 * h, da, part);
    recurrent_store(l->dh + at, left, part);
}

/* The product of the step taken last, then the gates of the step at hand: iteration 0 has none before
 * it, and the one after the last has no step. */
static void back_part(const void *arg, int64_t iteration, int64_t row, int64_t rows,
                      int64_t block) {
    const gru_back *l = arg;
    const int64_t h = l->hidden, count = l->steps - 1 - iteration;
    if (iteration > 0) {
        const int64_t step = recurrent_step(count + 1, l->steps, l->reverse);
        if (recurrent_any_within(&l->lengths, step, row, rows))
            recurrent_product_back(l->dgh + GATES * (step * l->n + row) * h, rows, GATES * h,
                                   l->packed, block, l->dh + row * h, h);
    }
    if (count < 0)
        return;
    const int64_t step = recurrent_step(count, l->steps, l->reverse);
    const int64_t before = recurrent_step(count - 1, l->steps, l->reverse) * l->n;
    const float *h_before = count > 0 ? l->y + before * h : l->h0;
    const int64_t end = gemm_min(h, (block + 1) * GEMM_COLS);
    for (int64_t sample = row; sample < row + rows; sample++)
        for (int64_t j = block * GEMM_COLS; j < end; j += V_WIDTH)
            gates_back(l, step, sample, h_before + sample * h, j, gemm_min(V_WIDTH, end - j));
}

static const char *declines_grad(const qn_call *call) {
    if (call->in[3].dtype != QN_F32)
        return "f32 only";
    return qn_view_is_contiguous(&call->in[3]) && qn_view_is_contiguous(&call->in[4])
               ? NULL
               : "states are not contiguous";
}

/* The packed weights, then h0. */
static size_t workspace_grad(const qn_call *call) {
    const int64_t n = call->in[3].shape[1], hidden = call->in[3].shape[2];
    return (size_t)(recurrent_room(GATES, hidden) + n * hidden) * sizeof(float);
}

static qn_status run_grad(const qn_call *call) {
    const qn_view *w = &call->in[1], *y = &call->in[3];
    const int64_t n = y->shape[1], hidden = y->shape[2];
    float *packed = call->workspace, *h0 = packed + recurrent_room(GATES, hidden);
    const gru_back l = {.steps = y->shape[0],
                        .n = n,
                        .hidden = hidden,
                        .reverse = ((const qn_recurrent_attrs *)call->attrs)->reverse,
                        .lengths = call->in[5],
                        .packed = packed,
                        .g_y = call->in[0],
                        .h0 = h0,
                        .y = y->data,
                        .gates = call->in[4].data,
                        .dgx = call->out[0].data,
                        .dgh = call->out[1].data,
                        .dh = call->out[2].data};
    recurrent_copy(call, &call->in[2], n * hidden, h0);
    memset(l.dh, 0, (size_t)(n * hidden) * sizeof(float));
    recurrent_pack_back(w, packed, simd_threads(call, GATES * hidden * hidden));
    const recurrent_work work = {.iterations = l.steps + 1,
                                 .rows = n,
                                 .blocks = recurrent_blocks_back(hidden),
                                 .weights = GATES * hidden * hidden,
                                 .products = (double)(n * GATES * hidden) * (double)hidden,
                                 .part = back_part,
                                 .arg = &l};
    recurrent_run(&work, call->threads);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(gru_grad) = {.size = sizeof(qn_kernel),
                                         .op = "gru_grad",
                                         .declines = declines_grad,
                                         .workspace = workspace_grad,
                                         .run = run_grad};
