/* gru: with r, z = sigmoid(gx + W_hh h + b_hh) and a = W_hn h + b_hn: n = tanh(gx_n + r a),
 * h' = (1 - z) n + z h. Past a sample's length h stays as it is. */
#include "ref_recurrent.h"

/* The rows of one sample at one step; `gates` holds r, z, n, a. */
typedef struct cell {
    qn_view h, y;      /* before the step, and after it */
    qn_view gx, gates; /* [3 hidden], [4 hidden] */
} cell;

static void step_cell(const cell *at, const qn_view *w, const qn_view *b_hh, int64_t hidden) {
    for (int64_t j = 0; j < hidden; j++) {
        double sum[3];
        for (int q = 0; q < 3; q++)
            sum[q] =
                ref_row_product(w, q * hidden + j, &at->h) + ref_row_load(b_hh, q * hidden + j);
        double r = ref_sigmoid(ref_row_load(&at->gx, j) + sum[0]);
        double z = ref_sigmoid(ref_row_load(&at->gx, hidden + j) + sum[1]);
        double n = tanh(ref_row_load(&at->gx, 2 * hidden + j) + r * sum[2]);
        const double gate[4] = {r, z, n, sum[2]};
        for (int q = 0; q < 4; q++)
            ref_row_store(&at->gates, q * hidden + j, gate[q]);
        ref_row_store(&at->y, j, (1 - z) * n + z * ref_row_load(&at->h, j));
    }
}

static void keep_cell(const cell *at, int64_t hidden) {
    ref_fill(&at->gates, 0);
    for (int64_t j = 0; j < hidden; j++)
        ref_row_store(&at->y, j, ref_row_load(&at->h, j));
}

static qn_status run(const qn_call *call) {
    const bool reverse = ((const qn_recurrent_attrs *)call->attrs)->reverse;
    const qn_view *gx = &call->in[QN_GRU_GX], *w = &call->in[QN_GRU_W_HH],
                  *b_hh = &call->in[QN_GRU_B_HH], *h0 = &call->in[QN_GRU_H0];
    const qn_view *lengths = &call->in[QN_GRU_LENGTHS], *y = &call->out[QN_GRU_OUT_Y],
                  *gates = &call->out[QN_GRU_OUT_GATES];
    const int64_t steps = y->shape[0], n = y->shape[1], hidden = y->shape[2];
    qn_status status = ref_check_lengths(call, lengths, steps);
    for (int64_t count = 0; count < steps && status == QN_OK; count++) {
        int64_t step = ref_step(count, steps, reverse);
        for (int64_t i = 0; i < n; i++) {
            cell at = {.h = ref_row_before(y, h0, step, i, reverse),
                       .y = ref_row(y, step, i),
                       .gx = ref_row(gx, step, i),
                       .gates = ref_row(gates, step, i)};
            if (step < ref_length(lengths, i, steps))
                step_cell(&at, w, b_hh, hidden);
            else
                keep_cell(&at, hidden);
        }
    }
    return status;
}

const qn_kernel qnk_ref_gru = {
    .size = sizeof(qn_kernel), .op = "gru", .run = run, .attrs_size = sizeof(qn_recurrent_attrs)};

/* ---- gradient ---------------------------------------------------------------------------- */

/* The same for the way back. dh holds the gradient of the state after the step, then of the state
 * before it. */
typedef struct grad_cell {
    qn_view g_y, h;     /* what arrives for the step itself; the state before it */
    qn_view gates;      /* [4 hidden] */
    qn_view d_gx, d_gh; /* [3 hidden]: of gx, and of W_hh h + b_hh */
    qn_view dh;
} grad_cell;

static void step_back(const grad_cell *at, const qn_view *w, int64_t hidden) {
    for (int64_t j = 0; j < hidden; j++) {
        double r = ref_row_load(&at->gates, j), z = ref_row_load(&at->gates, hidden + j);
        double n = ref_row_load(&at->gates, 2 * hidden + j);
        double a = ref_row_load(&at->gates, 3 * hidden + j), dh = ref_row_load(&at->dh, j);
        double dn = dh * (1 - z) * (1 - n * n);
        const double d[3] = {dn * a * r * (1 - r), dh * (ref_row_load(&at->h, j) - n) * z * (1 - z),
                             dn};
        for (int q = 0; q < 3; q++) {
            ref_row_store(&at->d_gx, q * hidden + j, d[q]);
            ref_row_store(&at->d_gh, q * hidden + j, q == 2 ? dn * r : d[q]);
        }
        ref_row_store(&at->dh, j, dh * z);
    }
    for (int64_t p = 0; p < hidden; p++)
        ref_row_store(&at->dh, p, ref_row_load(&at->dh, p) + ref_column_product(w, p, &at->d_gh));
}

static qn_status run_grad(const qn_call *call) {
    const bool reverse = ((const qn_recurrent_attrs *)call->attrs)->reverse;
    const qn_view *g_y = &call->in[QN_GRU_GRAD_G_Y], *w = &call->in[QN_GRU_GRAD_W_HH],
                  *h0 = &call->in[QN_GRU_GRAD_H0], *y = &call->in[QN_GRU_GRAD_Y];
    const qn_view *gates = &call->in[QN_GRU_GRAD_GATES], *lengths = &call->in[QN_GRU_GRAD_LENGTHS];
    const qn_view *d_gx = &call->out[QN_GRU_GRAD_OUT_DGX], *d_gh = &call->out[QN_GRU_GRAD_OUT_DGH],
                  *dh = &call->out[QN_GRU_GRAD_OUT_DH0];
    const int64_t steps = y->shape[0], n = y->shape[1], hidden = y->shape[2];
    ref_fill(dh, 0);
    for (int64_t count = steps - 1; count >= 0; count--) {
        int64_t step = ref_step(count, steps, reverse);
        for (int64_t i = 0; i < n; i++) {
            grad_cell at = {.g_y = ref_row(g_y, step, i),
                            .h = ref_row_before(y, h0, step, i, reverse),
                            .gates = ref_row(gates, step, i),
                            .d_gx = ref_row(d_gx, step, i),
                            .d_gh = ref_row(d_gh, step, i),
                            .dh = ref_sample(dh, i)};
            for (int64_t j = 0; j < hidden; j++)
                ref_row_store(&at.dh, j, ref_row_load(&at.dh, j) + ref_row_load(&at.g_y, j));
            if (step < ref_length(lengths, i, steps)) {
                step_back(&at, w, hidden);
            } else {
                ref_fill(&at.d_gx, 0);
                ref_fill(&at.d_gh, 0);
            }
        }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_gru_grad = {.size = sizeof(qn_kernel),
                                    .op = "gru_grad",
                                    .run = run_grad,
                                    .attrs_size = sizeof(qn_recurrent_attrs)};
