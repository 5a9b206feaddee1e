/* gru_simd.c: all steps of a GRU, and the way back. See simd_recurrent.h. */
#include "simd_math.h"
#include "simd_recurrent.h"

/* Gates r, z, n in the weights; the kept array [t, n, 4 hidden] has W_hn h + b_hn behind them. */
enum { GATES = 3, KEPT = 4 };

/* A call: [t, n, hidden] arrays are contiguous unless they are views. */
typedef struct gru {
    recurrent_shape shape;
    const float *gx;
    const float *bias; /* b_hh [3 hidden] */
    const float *h0;   /* [n, hidden], or NULL: zeros */
    float *y, *gates;
} gru;

/* n = tanh(gx_n + r a), h' = n + z (h - n) for the columns from j on of one sample. */
SIMD_INLINE void activate(const gru *l, int64_t row, const float *sums, vf before, int64_t j,
                          int64_t part) {
    const int64_t h = l->shape.hidden;
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

static void forward_cells(const void *arg, recurrent_cells at) {
    const gru *l = arg;
    const int64_t h = l->shape.hidden, part = at.end - at.j;
    const float *h_before = recurrent_before(&at, l->y, l->h0, h);
    for (int64_t i = 0; i < at.rows; i++) {
        const int64_t sample = at.first + i, row = at.row + sample, from = sample * h + at.j;
        const vf state = h_before ? recurrent_load(h_before + from, part) : (vf){0};
        if (recurrent_within(&l->shape.lengths, at.step, sample))
            activate(l, row, at.sums + i * GATES * V_WIDTH, state, at.j, part);
        else
            recurrent_store(l->y + row * h + at.j, state, part);
    }
}

/* The packed weights, then b_hh and h0. */
static size_t workspace(const qn_call *call) {
    const int64_t n = call->in[QN_GRU_GX].shape[1], hidden = call->in[QN_GRU_W_HH].shape[1];
    return (size_t)(recurrent_room(GATES, hidden) + (GATES + n) * hidden) * sizeof(float);
}

static qn_status run(const qn_call *call) {
    const qn_view *gx = &call->in[QN_GRU_GX], *w = &call->in[QN_GRU_W_HH];
    const int64_t n = gx->shape[1], hidden = w->shape[1];
    float *packed = call->workspace, *bias = packed + recurrent_room(GATES, hidden);
    float *h0 = bias + GATES * hidden;
    const gru l = {.shape = recurrent_shape_of(call, GATES, hidden, 0, 4),
                   .gx = gx->data,
                   .bias = bias,
                   .h0 = call->in[QN_GRU_H0].data ? h0 : NULL,
                   .y = call->out[QN_GRU_OUT_Y].data,
                   .gates = call->out[QN_GRU_OUT_GATES].data};
    const qn_status status = sequence_check_lengths(call, &l.shape.lengths, l.shape.steps);
    if (status != QN_OK)
        return status;
    recurrent_copy(call, &call->in[QN_GRU_B_HH], GATES * hidden, bias);
    recurrent_copy(call, &call->in[QN_GRU_H0], n * hidden, h0);
    recurrent_forward(call, &(recurrent_pass){.shape = &l.shape,
                                              .w = w,
                                              .packed = packed,
                                              .h = l.y,
                                              .h0 = l.h0,
                                              .cells = forward_cells,
                                              .arg = &l});
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(gru) = {.size = sizeof(qn_kernel),
                                    .op = "gru",
                                    .declines = recurrent_declines,
                                    .workspace = workspace,
                                    .run = run,
                                    .attrs_size = sizeof(qn_recurrent_attrs)};

/* ---- gradient ---------------------------------------------------------------------------- */

typedef struct gru_back {
    recurrent_shape shape;
    qn_view g_y;
    const float *h0, *y, *gates;
    float *dgx, *dgh;
    float *dh; /* [n, hidden]: of the state after the step at hand, then of that before it */
} gru_back;

/* One sample and step, the columns from j on: the gradients of gx and of W_hh h + b_hh, and what dh
 * gets besides the product with the weights. */
SIMD_INLINE void gates_back(const gru_back *l, int64_t step, int64_t sample, const float *before,
                            int64_t j, int64_t part) {
    const int64_t h = l->shape.hidden, row = step * l->shape.n + sample, at = sample * h + j;
    const float *gates = l->gates + KEPT * row * h + j;
    float *dgx = l->dgx + GATES * row * h + j, *dgh = l->dgh + GATES * row * h + j;
    const vf dh =
        recurrent_load(l->dh + at, part) + recurrent_load_at(&l->g_y, step, sample, j, part);
    vf dr = {0}, dz = {0}, dn = {0}, da = {0}, left = dh;
    if (recurrent_within(&l->shape.lengths, step, sample)) {
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

static void backward_cells(const void *arg, recurrent_cells at) {
    const gru_back *l = arg;
    const int64_t h = l->shape.hidden;
    const float *h_before = recurrent_before(&at, l->y, l->h0, h);
    for (int64_t sample = at.first; sample < at.first + at.rows; sample++)
        for (int64_t j = at.j; j < at.end; j += V_WIDTH)
            gates_back(l, at.step, sample, h_before + sample * h, j, cpu_min(V_WIDTH, at.end - j));
}

static const char *declines_grad(const qn_call *call) { return recurrent_declines_grad(call, 3); }

/* The packed weights, then h0. */
static size_t workspace_grad(const qn_call *call) {
    const int64_t n = call->in[QN_GRU_GRAD_Y].shape[1], hidden = call->in[QN_GRU_GRAD_Y].shape[2];
    return (size_t)(recurrent_room(GATES, hidden) + n * hidden) * sizeof(float);
}

static qn_status run_grad(const qn_call *call) {
    const qn_view *w = &call->in[QN_GRU_GRAD_W_HH], *y = &call->in[QN_GRU_GRAD_Y];
    const int64_t n = y->shape[1], hidden = y->shape[2];
    float *packed = call->workspace, *h0 = packed + recurrent_room(GATES, hidden);
    const gru_back l = {.shape = recurrent_shape_of(call, GATES, hidden, 3, 5),
                        .g_y = call->in[QN_GRU_GRAD_G_Y],
                        .h0 = h0,
                        .y = y->data,
                        .gates = call->in[QN_GRU_GRAD_GATES].data,
                        .dgx = call->out[QN_GRU_GRAD_OUT_DGX].data,
                        .dgh = call->out[QN_GRU_GRAD_OUT_DGH].data,
                        .dh = call->out[QN_GRU_GRAD_OUT_DH0].data};
    recurrent_copy(call, &call->in[QN_GRU_GRAD_H0], n * hidden, h0);
    recurrent_backward(call, &(recurrent_pass){.shape = &l.shape,
                                               .w = w,
                                               .packed = packed,
                                               .g = l.dgh,
                                               .dh = l.dh,
                                               .cells = backward_cells,
                                               .arg = &l});
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(gru_grad) = {.size = sizeof(qn_kernel),
                                         .op = "gru_grad",
                                         .declines = declines_grad,
                                         .workspace = workspace_grad,
                                         .run = run_grad,
                                         .attrs_size = sizeof(qn_recurrent_attrs)};
