/* lstm_simd.c: all steps of an LSTM, and the way back. See simd_recurrent.h. */
#include <string.h>

#include "simd_math.h"
#include "simd_recurrent.h"

enum { GATES = 4 };

/* A call: [t, n, hidden] arrays are contiguous unless they are views. */
typedef struct lstm {
    recurrent_shape shape;
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
    const int64_t h = l->shape.hidden, at = row * h + j;
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

static void forward_cells(const void *arg, recurrent_cells at) {
    const lstm *l = arg;
    const int64_t h = l->shape.hidden, part = at.end - at.j;
    const float *h_before = recurrent_before(&at, l->y, l->h0, h);
    const float *c_before = recurrent_before(&at, l->c, l->c0, h);
    for (int64_t i = 0; i < at.rows; i++) {
        const int64_t sample = at.first + i, row = at.row + sample, from = sample * h + at.j;
        if (recurrent_within(&l->shape.lengths, at.step, sample)) {
            activate(l, row, at.sums + i * GATES * V_WIDTH, c_before + from, at.j, part);
        } else {
            keep(h_before ? h_before + from : NULL, l->y + row * h + at.j, part);
            keep(c_before + from, l->c + row * h + at.j, part);
        }
    }
}

/* The packed weights, then h0 and c0. */
static size_t workspace(const qn_call *call) {
    const int64_t n = call->in[QN_LSTM_GX].shape[1], hidden = call->in[QN_LSTM_W_HH].shape[1];
    return (size_t)(recurrent_room(GATES, hidden) + 2 * n * hidden) * sizeof(float);
}

static qn_status run(const qn_call *call) {
    const qn_view *gx = &call->in[QN_LSTM_GX], *w = &call->in[QN_LSTM_W_HH];
    const int64_t n = gx->shape[1], hidden = w->shape[1];
    float *packed = call->workspace, *h0 = packed + recurrent_room(GATES, hidden);
    float *c0 = h0 + n * hidden;
    const lstm l = {.shape = recurrent_shape_of(call, GATES, hidden, 0, 4),
                    .gx = gx->data,
                    .h0 = call->in[QN_LSTM_H0].data ? h0 : NULL,
                    .c0 = c0,
                    .y = call->out[QN_LSTM_OUT_Y].data,
                    .c = call->out[QN_LSTM_OUT_C].data,
                    .gates = call->out[QN_LSTM_OUT_GATES].data};
    const qn_status status = sequence_check_lengths(call, &l.shape.lengths, l.shape.steps);
    if (status != QN_OK)
        return status;
    recurrent_copy(call, &call->in[QN_LSTM_H0], n * hidden, h0);
    recurrent_copy(call, &call->in[QN_LSTM_C0], n * hidden, c0);
    recurrent_forward(call, &(recurrent_pass){.shape = &l.shape,
                                              .w = w,
                                              .packed = packed,
                                              .h = l.y,
                                              .h0 = l.h0,
                                              .cells = forward_cells,
                                              .arg = &l});
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(lstm) = {.size = sizeof(qn_kernel),
                                     .op = "lstm",
                                     .declines = recurrent_declines,
                                     .workspace = workspace,
                                     .run = run,
                                     .attrs_size = sizeof(qn_recurrent_attrs)};

/* ---- gradient ---------------------------------------------------------------------------- */

typedef struct lstm_back {
    recurrent_shape shape;
    qn_view g_y, g_c; /* may be absent */
    const float *c0, *c, *gates;
    float *dgx;
    float *dh, *dc; /* [n, hidden]: of the state after the step at hand, then of that before it */
} lstm_back;

/* One sample and step, the columns from j on: the gradients of the gates, and of c before the step.
 * dh is left at 0 for the product with the weights to be added to. */
SIMD_INLINE void gates_back(const lstm_back *l, int64_t step, int64_t sample, const float *c_before,
                            int64_t j, int64_t part) {
    const int64_t h = l->shape.hidden, row = step * l->shape.n + sample, at = sample * h + j;
    const float *gates = l->gates + GATES * row * h + j;
    float *dgx = l->dgx + GATES * row * h + j;
    const vf dh =
        recurrent_load(l->dh + at, part) + recurrent_load_at(&l->g_y, step, sample, j, part);
    vf dc = recurrent_load(l->dc + at, part) + recurrent_load_at(&l->g_c, step, sample, j, part);
    if (!recurrent_within(&l->shape.lengths, step, sample)) {
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

static void backward_cells(const void *arg, recurrent_cells at) {
    const lstm_back *l = arg;
    const int64_t h = l->shape.hidden;
    const float *c_before = recurrent_before(&at, l->c, l->c0, h);
    for (int64_t sample = at.first; sample < at.first + at.rows; sample++)
        for (int64_t j = at.j; j < at.end; j += V_WIDTH)
            gates_back(l, at.step, sample, c_before + sample * h, j, cpu_min(V_WIDTH, at.end - j));
}

static const char *declines_grad(const qn_call *call) { return recurrent_declines_grad(call, 4); }

/* The packed weights, then c0. */
static size_t workspace_grad(const qn_call *call) {
    const int64_t n = call->in[QN_LSTM_GRAD_C].shape[1], hidden = call->in[QN_LSTM_GRAD_C].shape[2];
    return (size_t)(recurrent_room(GATES, hidden) + n * hidden) * sizeof(float);
}

static qn_status run_grad(const qn_call *call) {
    const qn_view *w = &call->in[QN_LSTM_GRAD_W_HH], *c = &call->in[QN_LSTM_GRAD_C];
    const int64_t n = c->shape[1], hidden = c->shape[2];
    float *packed = call->workspace, *c0 = packed + recurrent_room(GATES, hidden);
    const lstm_back l = {.shape = recurrent_shape_of(call, GATES, hidden, 4, 6),
                         .g_y = call->in[QN_LSTM_GRAD_G_Y],
                         .g_c = call->in[QN_LSTM_GRAD_G_C],
                         .c0 = c0,
                         .c = c->data,
                         .gates = call->in[QN_LSTM_GRAD_GATES].data,
                         .dgx = call->out[QN_LSTM_GRAD_OUT_DGX].data,
                         .dh = call->out[QN_LSTM_GRAD_OUT_DH0].data,
                         .dc = call->out[QN_LSTM_GRAD_OUT_DC0].data};
    recurrent_copy(call, &call->in[QN_LSTM_GRAD_C0], n * hidden, c0);
    memset(l.dc, 0, (size_t)(n * hidden) * sizeof(float));
    recurrent_backward(call, &(recurrent_pass){.shape = &l.shape,
                                               .w = w,
                                               .packed = packed,
                                               .g = l.dgx,
                                               .dh = l.dh,
                                               .cells = backward_cells,
                                               .arg = &l});
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(lstm_grad) = {.size = sizeof(qn_kernel),
                                          .op = "lstm_grad",
                                          .declines = declines_grad,
                                          .workspace = workspace_grad,
                                          .run = run_grad,
                                          .attrs_size = sizeof(qn_recurrent_attrs)};
