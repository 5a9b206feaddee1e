/* gru.c: gated recurrent units, all steps in one operation. */
#include "internal.h"

/* y [t, n, hidden], and [t, n, 4 hidden]: the gates r, z, n after their activations, and
 * W_hn h + b_hn, which the derivative of r needs. */
static qn_status gru_infer(qni_infer *call) {
    qn_status status = qni_infer_recurrent(call, 3, QN_GRU_LENGTHS);
    if (status != QN_OK)
        return status;
    const qn_view *gx = &call->in[QN_GRU_GX]->view;
    const int64_t steps = gx->shape[0], n = gx->shape[1],
                  hidden = call->in[QN_GRU_W_HH]->view.shape[1];
    status = qni_expect_like(call, QN_GRU_B_HH, QN_GRU_GX, QN_SHAPE(3 * hidden));
    if (status == QN_OK)
        status = qni_expect_like(call, QN_GRU_H0, QN_GRU_GX, QN_SHAPE(n, hidden));
    call->dtype[0] = call->dtype[1] = gx->dtype;
    call->shape[0] = QN_SHAPE(steps, n, hidden);
    call->shape[1] = QN_SHAPE(steps, n, 4 * hidden);
    return status;
}

static void gru_backward(qni_backward *b) {
    const qn_recurrent_attrs *attrs = b->attrs;
    qn_tensor *in[6] = {b->grad[0],           b->in[QN_GRU_W_HH],       b->in[QN_GRU_H0],
                        b->out[QN_GRU_OUT_Y], b->out[QN_GRU_OUT_GATES], b->in[QN_GRU_LENGTHS]};
    qn_tensor *out[3];
    if (qni_apply_all(&qni_op_gru_grad, in, 6, attrs, out) != QN_OK)
        return;
    qni_give_recurrent_weight(b, QN_GRU_W_HH, out[QN_GRU_GRAD_OUT_DGH], b->out[QN_GRU_OUT_Y],
                              b->in[QN_GRU_H0], attrs->reverse);
    if (b->in[QN_GRU_B_HH] && b->needs[QN_GRU_B_HH]) {
        qn_shape shape = qni_shape_of(&b->in[QN_GRU_B_HH]->view);
        qni_give(b, QN_GRU_B_HH,
                 qni_sum_to(out[QN_GRU_GRAD_OUT_DGH], shape, qni_target(b, QN_GRU_B_HH)));
    }
    qni_give(b, QN_GRU_GX, out[QN_GRU_GRAD_OUT_DGX]);
    if (b->in[QN_GRU_H0])
        qni_give(b, QN_GRU_H0, out[QN_GRU_GRAD_OUT_DH0]);
}

static double gru_operations(const qn_view *in, const qn_view *out) {
    (void)in;
    return qni_count(&out[0]) * (6 * qni_extent(&out[0], 0) + 13);
}

const qni_op qni_op_gru = {
    .name = "gru",
    .in = "gx w_hh b_hh h0 lengths",
    .out = "y gates",
    .inputs = 5,
    .outputs = 2,
    .unread = 1,
    .optional = 1u << QN_GRU_B_HH | 1u << QN_GRU_H0 | 1u << QN_GRU_LENGTHS,
    .attrs_size = sizeof(qn_recurrent_attrs),
    .fields = qni_recurrent_fields,
    .infer = gru_infer,
    .backward = gru_backward,
    .cost = {.of = QNI_FORMULA, .formula = gru_operations},
};

qn_recurrent qn_gru(qn_tensor *x, qn_tensor *w_ih, qn_tensor *w_hh, qn_tensor *b_ih,
                    qn_tensor *b_hh, const qn_recurrent_opts *opts) {
    static const qn_recurrent_opts defaults = {0};
    opts = opts ? opts : &defaults;
    if (!qni_recurrent_fits("gru", 3, x, w_ih, w_hh, b_ih, b_hh))
        return (qn_recurrent){0};
    if (opts->c0) {
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "gru: has no cell state, c0 must be NULL");
        return (qn_recurrent){0};
    }
    qn_tensor *gx = qn_linear(qn_transpose(x, 0, 1), w_ih, b_ih);
    qn_tensor *in[5] = {gx, w_hh, b_hh, opts->h0, opts->lengths};
    const qn_recurrent_attrs attrs = {.reverse = opts->reverse};
    qn_tensor *out[2];
    if (qni_apply_all(&qni_op_gru, in, 5, &attrs, out) != QN_OK)
        return (qn_recurrent){0};
    return (qn_recurrent){.y = qn_transpose(out[0], 0, 1),
                          .h = qni_recurrent_last(out[0], opts->h0, opts->reverse)};
}

/* The gradients of gx [t, n, 3 hidden], of W_hh h + b_hh alike, and of h0 [n, hidden]. */
static qn_status gru_grad_infer(qni_infer *call) {
    const qn_view *states = &call->in[QN_GRU_GRAD_Y]->view;
    const int64_t steps = states->shape[0], n = states->shape[1], hidden = states->shape[2];
    qn_status status = qni_expect_float(call, QN_GRU_GRAD_Y);
    if (status == QN_OK)
        status = qni_expect_like(call, QN_GRU_GRAD_G_Y, QN_GRU_GRAD_Y, qni_shape_of(states));
    for (int i = 0; i < 3; i++)
        call->dtype[i] = states->dtype;
    call->shape[0] = call->shape[1] = QN_SHAPE(steps, n, 3 * hidden);
    call->shape[2] = QN_SHAPE(n, hidden);
    return status;
}

static double gru_grad_operations(const qn_view *in, const qn_view *out) {
    (void)in;
    return qni_count(&out[0]) / 3 * (2 * qni_extent(&out[0], 0) + 25);
}

const qni_op qni_op_gru_grad = {
    .name = "gru_grad",
    .in = "g_y w_hh h0 y gates lengths",
    .out = "dgx dgh dh0",
    .inputs = 6,
    .outputs = 3,
    .optional = 1u << QN_GRU_GRAD_H0 | 1u << QN_GRU_GRAD_LENGTHS,
    .attrs_size = sizeof(qn_recurrent_attrs),
    .fields = qni_recurrent_fields,
    .infer = gru_grad_infer,
    .cost = {.of = QNI_FORMULA, .formula = gru_grad_operations},
    .no_derivative = qni_once_recurrent,
};
