/* lstm_simd.c: all steps of an LSTM, and the way back. See simd_recurrent.h. */
#include <string.h>

#include "simd_math.h"
#include "simd_recurrent.h"

enum { GATES = 4 };

/* A call: [t, n, hidden] arrays are contiguous unless they are views. */
typedef struct lstm {
    int64_t steps, n, hidden;
    bool reverse;
    qn_view lengths;
    const float *packed; /* weights */
    const float *gx;
    const float *h0, *c0; /* [n, hidden]; h0 NULL: zeros */
    float *y, *c, *gates;
} lstm;

/* The rows of one sample and block before and after a step. */
static void keep(const float *from, float *to, int64_t part) {
    recurrent_store(to, from ? recurrent_load(from, part) : (vf){0}, part);
}

/* c' = f c + i g, h' = o tanh(c') for the columns from j on of one sample. */
SIMD_INLINE void activate(const lstm *l, int64_t row, const float *sums, const float *c, int64_t j,
                          int64_t part) {
    const int64_t h = l->hidden, at = row * h + j;
    const float *x = l->gx + GATES * row * h + j;
    float *gates = l->gates + GATES * row * h + j;
    const vf i = v_sigmoid(recurrent_load(x, part) + v_load(sums));
    const vf f = v_sigmoid(recurrent_load(x + h, part) + v_load(sums + V_WIDTH));
    const vf g = v_tanh(recurrent_load(x + 2 * h, part) + v_load(sums + 2 * V_WIDTH));
    const vf o = v_sigmoid(recurrent_load(x + 3 * h, part) + v_load(sums + 3 * V_WIDTH));
    const vf new = v_fma(f, recurrent_load(c, part), i * g);
    recurrent_store(gates, i, part);
    recurrent_store(gates + h, f, part);
    recurrent_store(gates + 2 * h, g, part);
    recurrent_store(gates + 3 * h, o, part);
    recurrent_store(l->c + at, new, part);
    recurrent_store(l->y + at, o * v_tanh(new), part);
}

/* Up to GEMM_ROWS samples from `first` on at one step, of the columns of one block. */
static void forward_panel(const lstm *l, int64_t count, int64_t first, int rows, int64_t block) {
    const int64_t h = l->hidden, step = recurrent_step(count, l->steps, l->reverse);
    const int64_t before = recurrent_step(count - 1, l->steps, l->reverse) * l->n;
    const int64_t j = block * V_WIDTH, part = gemm_min(V_WIDTH, h - j);
    const float *h_before = count > 0 ? l->y + before * h : l->h0;
    const float *c_before = count > 0 ? l->c + before * h : l->c0;
    float sums[GEMM_ROWS * GATES * V_WIDTH] __attribute__((aligned(64))) = {0};
    if (h_before && recurrent_any_within(&l->lengths, step, first, rows))
        recurrent_product(h_before + first * h, rows, h, GATES, l->packed, block, sums);
    for (int64_t i = 0; i < rows; i++) {
        const int64_t sample = first + i, row = step * l->n + sample, at = sample * h + j;
        if (recurrent_within(&l->lengths, step, sample)) {
            activate(l, row, sums + i * GATES * V_WIDTH, c_before + at, j, part);
        } else {
            keep(h_before ? h_before + at : NULL, l->y + row * h + j, part);
            keep(c_before + at, l->c + row * h + j, part);
        }
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

/* The packed weights, then h0 and c0. */
static size_t workspace(const qn_call *call) {
    const int64_t n = call->in[0].shape[1], hidden = call->in[1].shape[1];
    return (size_t)(recurrent_room(GATES, hidden) + 2 * n * hidden) * sizeof(float);
}

static qn_status run(const qn_call *call) {
    const qn_view *gx = &call->in[0], *w = &call->in[1];
    const int64_t n = gx->shape[1], hidden = w->shape[1];
    float *packed = call->workspace, *h0 = packed + recurrent_room(GATES, hidden);
    float *c0 = h0 + n * hidden;
    const lstm l = {.steps = gx->shape[0],
                    .n = n,
                    .hidden = hidden,
                    .reverse = ((const qn_recurrent_attrs *)call->attrs)->reverse,
                    .lengths = call->in[4],
                    .packed = packed,
                    .gx = gx->data,
                    .h0 = call->in[2].data ? h0 : NULL,
                    .c0 = c0,
                    .y = call->out[0].data,
                    .c = call->out[1].data,
                    .gates = call->out[2].data};
    const qn_status status = sequence_check_lengths(call, &l.lengths, l.steps);
    if (status != QN_OK)
        return status;
    recurrent_copy(call, &call->in[2], n * hidden, h0);
    recurrent_copy(call, &call->in[3], n * hidden, c0);
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

const qn_kernel SIMD_KERNEL(lstm) = {.size = sizeof(qn_kernel),
                                     .op = "lstm",
                                     .declines = declines,
                                     .workspace = workspace,
                                     .run = run};

/* ---- gradient ---------------------------------------------------------------------------- */

typedef struct lstm_back {
    int64_t steps, n, hidden;
    bool reverse;
    qn_view lengths;
    const float *packed;
    qn_view g_y, g_c; /* may be absent */
    const float *c0, *c, *gates;
    float *dgx;
    float *dh, *dc; /* [n, hidden]: of the state after the step at hand, then of that before it */
} lstm_back;

/* One sample and step, the columns from j on: the gradients of the gates, and of c before the step. dh
 * is left at 0 for the product with the weights to be added to. */
SIMD_INLINE void gates_back(const lstm_back *l, int64_t step, int64_t sample, const float *c_before,
                            int64_t j, int64_t part) {
    const int64_t h = l->hidden, row = step * l->n + sample, at = sample * h + j;
    const float *gates = l->gates + GATES * row * h + j;
    float *dgx = l->dgx + GATES * row * h + j;
    const vf dh =
        recurrent_load(l->dh + at, part) + recurrent_load_at(&l->g_y, step, sample, j, part);
    vf dc = recurrent_load(l->dc + at, part) + recurrent_load_at(&l->g_c, step, sample, j, part);
    if (!recurrent_within(&l->lengths, step, sample)) {
        for (int gate = 0; gate < GATES; gate++)
            recurrent_store(dgx + gate * h, (vf){0}, part);
        recurrent_store(l->dh + at, dh, part);
        recurrent_store(l->dc + at, dc, part);
        return;
    }
    const vf i = recurrent_load(gates, part), f = recurrent_load(gates + h, part);
    const vf g = recurrent_load(gates + 2 * h, part), o = recurrent_load(gates + 3 * h, part);
    const vf t = v_tanh(recurrent_load(l->c + row * h + j, part));
    dc = v_fma(dh * o, 1.0f - t * t, dc);
    recurrent_store(dgx, dc * g * i * (1.0f - i), part);
    recurrent_store(dgx + h, dc * recurrent_load(c_before + j, part) * f * (1.0f - f), part);
    recurrent_store(dgx + 2 * h, dc * i * (1.0f - g * g), part);
    recurrent_store(dgx + 3 * h, dh * t * o * (1.0f - o), part);
    recurrent_store(l->dh + at, (vf){0}, part);
    recurrent_store(l->dc + at, dc * f, part);
}

/* The product of the step taken last, then the gates of the step at hand: iteration 0 has none before
 * it, and the one after the last has no step. */
static void back_part(const void *arg, int64_t iteration, int64_t row, int64_t rows,
                      int64_t block) {
    const lstm_back *l = arg;
    const int64_t h = l->hidden, count = l->steps - 1 - iteration;
    if (iteration > 0) {
        const int64_t step = recurrent_step(count + 1, l->steps, l->reverse);
        if (recurrent_any_within(&l->lengths, step, row, rows))
            recurrent_product_back(l->dgx + GATES * (step * l->n + row) * h, rows, GATES * h,
                                   l->packed, block, l->dh + row * h, h);
    }
    if (count < 0)
        return;
    const int64_t step = recurrent_step(count, l->steps, l->reverse);
    const int64_t before = recurrent_step(count - 1, l->steps, l->reverse) * l->n;
    const float *c_before = count > 0 ? l->c + before * h : l->c0;
    const int64_t end = gemm_min(h, (block + 1) * GEMM_COLS);
    for (int64_t sample = row; sample < row + rows; sample++)
        for (int64_t j = block * GEMM_COLS; j < end; j += V_WIDTH)
            gates_back(l, step, sample, c_before + sample * h, j, gemm_min(V_WIDTH, end - j));
}

static const char *declines_grad(const qn_call *call) {
    if (call->in[4].dtype != QN_F32)
        return "f32 only";
    return qn_view_is_contiguous(&call->in[4]) && qn_view_is_contiguous(&call->in[5])
               ? NULL
               : "states are not contiguous";
}

/* The packed weights, then c0. */
static size_t workspace_grad(const qn_call *call) {
    const int64_t n = call->in[4].shape[1], hidden = call->in[4].shape[2];
    return (size_t)(recurrent_room(GATES, hidden) + n * hidden) * sizeof(float);
}

static qn_status run_grad(const qn_call *call) {
    const qn_view *w = &call->in[2], *c = &call->in[4];
    const int64_t n = c->shape[1], hidden = c->shape[2];
    float *packed = call->workspace, *c0 = packed + recurrent_room(GATES, hidden);
    const lstm_back l = {.steps = c->shape[0],
                         .n = n,
                         .hidden = hidden,
                         .reverse = ((const qn_recurrent_attrs *)call->attrs)->reverse,
                         .lengths = call->in[6],
                         .packed = packed,
                         .g_y = call->in[0],
                         .g_c = call->in[1],
                         .c0 = c0,
                         .c = c->data,
                         .gates = call->in[5].data,
                         .dgx = call->out[0].data,
                         .dh = call->out[1].data,
                         .dc = call->out[2].data};
    recurrent_copy(call, &call->in[3], n * hidden, c0);
    memset(l.dh, 0, (size_t)(n * hidden) * sizeof(float));
    memset(l.dc, 0, (size_t)(n * hidden) * sizeof(float));
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

const qn_kernel SIMD_KERNEL(lstm_grad) = {.size = sizeof(qn_kernel),
                                          .op = "lstm_grad",
                                          .declines = declines_grad,
                                          .workspace = workspace_grad,
                                          .run = run_grad};
