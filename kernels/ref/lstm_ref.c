/* lstm: with (i, f, g, o) = gx + W_hh h, i, f, o through the sigmoid and g through tanh:
 * c' = f c + i g, h' = o tanh(c'). Past a sample's length h and c stay as they are. */
#include "ref_recurrent.h"

/* The rows of one sample at one step. */
typedef struct cell {
    qn_view h, c;      /* before the step */
    qn_view y, c_new;  /* after it */
    qn_view gx, gates; /* [4 hidden] */
} cell;

static void step_cell(const cell *at, const qn_view *w, int64_t hidden) {
    for (int64_t j = 0; j < hidden; j++) {
        double gate[4];
        for (int q = 0; q < 4; q++) {
            double sum =
                ref_row_load(&at->gx, q * hidden + j) + ref_row_product(w, q * hidden + j, &at->h);
            gate[q] = q == 2 ? tanh(sum) : ref_sigmoid(sum);
            ref_row_store(&at->gates, q * hidden + j, gate[q]);
        }
        double c = gate[1] * ref_row_load(&at->c, j) + gate[0] * gate[2];
        ref_row_store(&at->c_new, j, c);
        ref_row_store(&at->y, j, gate[3] * tanh(c));
    }
}

static void keep_cell(const cell *at, int64_t hidden) {
    ref_fill(&at->gates, 0);
    for (int64_t j = 0; j < hidden; j++) {
        ref_row_store(&at->c_new, j, ref_row_load(&at->c, j));
        ref_row_store(&at->y, j, ref_row_load(&at->h, j));
    }
}

static qn_status run(const qn_call *call) {
    const bool reverse = ((const qn_recurrent_attrs *)call->attrs)->reverse;
    const qn_view *gx = &call->in[QN_LSTM_GX], *w = &call->in[QN_LSTM_W_HH],
                  *h0 = &call->in[QN_LSTM_H0], *c0 = &call->in[QN_LSTM_C0];
    const qn_view *lengths = &call->in[QN_LSTM_LENGTHS];
    const qn_view *y = &call->out[QN_LSTM_OUT_Y], *c = &call->out[QN_LSTM_OUT_C],
                  *gates = &call->out[QN_LSTM_OUT_GATES];
    const int64_t steps = y->shape[0], n = y->shape[1], hidden = y->shape[2];
    qn_status status = ref_check_lengths(call, lengths, steps);
    for (int64_t count = 0; count < steps && status == QN_OK; count++) {
        int64_t step = ref_step(count, steps, reverse);
        for (int64_t i = 0; i < n; i++) {
            cell at = {.h = ref_row_before(y, h0, step, i, reverse),
                       .c = ref_row_before(c, c0, step, i, reverse),
                       .y = ref_row(y, step, i),
                       .c_new = ref_row(c, step, i),
                       .gx = ref_row(gx, step, i),
                       .gates = ref_row(gates, step, i)};
            if (step < ref_length(lengths, i, steps))
                step_cell(&at, w, hidden);
            else
                keep_cell(&at, hidden);
        }
    }
    return status;
}

const qn_kernel qnk_ref_lstm = {
    .size = sizeof(qn_kernel), .op = "lstm", .run = run, .attrs_size = sizeof(qn_recurrent_attrs)};

/* ---- gradient ---------------------------------------------------------------------------- */

/* The same for the way back. dh and dc hold the gradients of the state after the step, then of the
 * state before it. */
typedef struct grad_cell {
    qn_view g_y, g_c;    /* what arrives for the step itself */
    qn_view c_before, c; /* cell states */
    qn_view gates, d_gx; /* [4 hidden] */
    qn_view dh, dc;
} grad_cell;

static void arrive(const grad_cell *at, int64_t hidden) {
    for (int64_t j = 0; j < hidden; j++) {
        ref_row_store(&at->dh, j, ref_row_load(&at->dh, j) + ref_row_load(&at->g_y, j));
        ref_row_store(&at->dc, j, ref_row_load(&at->dc, j) + ref_row_load(&at->g_c, j));
    }
}

static void step_back(const grad_cell *at, const qn_view *w, int64_t hidden) {
    for (int64_t j = 0; j < hidden; j++) {
        double gate[4];
        for (int q = 0; q < 4; q++)
            gate[q] = ref_row_load(&at->gates, q * hidden + j);
        double t = tanh(ref_row_load(&at->c, j)), dh = ref_row_load(&at->dh, j);
        double dc = ref_row_load(&at->dc, j) + dh * gate[3] * (1 - t * t);
        double i = gate[0], f = gate[1], g = gate[2], o = gate[3];
        ref_row_store(&at->d_gx, j, dc * g * i * (1 - i));
        ref_row_store(&at->d_gx, hidden + j, dc * ref_row_load(&at->c_before, j) * f * (1 - f));
        ref_row_store(&at->d_gx, 2 * hidden + j, dc * i * (1 - g * g));
        ref_row_store(&at->d_gx, 3 * hidden + j, dh * t * o * (1 - o));
        ref_row_store(&at->dc, j, dc * f);
    }
    for (int64_t p = 0; p < hidden; p++)
        ref_row_store(&at->dh, p, ref_column_product(w, p, &at->d_gx));
}

static qn_status run_grad(const qn_call *call) {
    const bool reverse = ((const qn_recurrent_attrs *)call->attrs)->reverse;
    const qn_view *g_y = &call->in[QN_LSTM_GRAD_G_Y], *g_c = &call->in[QN_LSTM_GRAD_G_C],
                  *w = &call->in[QN_LSTM_GRAD_W_HH], *c0 = &call->in[QN_LSTM_GRAD_C0];
    const qn_view *c = &call->in[QN_LSTM_GRAD_C], *gates = &call->in[QN_LSTM_GRAD_GATES],
                  *lengths = &call->in[QN_LSTM_GRAD_LENGTHS];
    const qn_view *d_gx = &call->out[QN_LSTM_GRAD_OUT_DGX], *dh = &call->out[QN_LSTM_GRAD_OUT_DH0],
                  *dc = &call->out[QN_LSTM_GRAD_OUT_DC0];
    const int64_t steps = c->shape[0], n = c->shape[1], hidden = c->shape[2];
    ref_fill(dh, 0);
    ref_fill(dc, 0);
    for (int64_t count = steps - 1; count >= 0; count--) {
        int64_t step = ref_step(count, steps, reverse);
        for (int64_t i = 0; i < n; i++) {
            grad_cell at = {.g_y = ref_row(g_y, step, i),
                            .g_c = ref_row(g_c, step, i),
                            .c_before = ref_row_before(c, c0, step, i, reverse),
                            .c = ref_row(c, step, i),
                            .gates = ref_row(gates, step, i),
                            .d_gx = ref_row(d_gx, step, i),
                            .dh = ref_sample(dh, i),
                            .dc = ref_sample(dc, i)};
            arrive(&at, hidden);
            if (step < ref_length(lengths, i, steps))
                step_back(&at, w, hidden);
            else
                ref_fill(&at.d_gx, 0);
        }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_lstm_grad = {.size = sizeof(qn_kernel),
                                     .op = "lstm_grad",
                                     .run = run_grad,
                                     .attrs_size = sizeof(qn_recurrent_attrs)};
