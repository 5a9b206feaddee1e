/* lstm.c: long short-term memory, all steps in one operation. */
#include "internal.h"

/* y and c [t, n, hidden], and the gates after their activations [t, n, 4 hidden]. */
static qn_status lstm_infer(qni_infer *call) {
    qn_status status = qni_infer_recurrent(call, 4, QN_LSTM_LENGTHS);
    if (status != QN_OK)
        return status;
    const qn_view *gx = &call->in[QN_LSTM_GX]->view;
    const int64_t steps = gx->shape[0], n = gx->shape[1],
                  hidden = call->in[QN_LSTM_W_HH]->view.shape[1];
    for (int i = QN_LSTM_H0; i <= QN_LSTM_C0 && status == QN_OK; i++)
        status = qni_expect_like(call, i, QN_LSTM_GX, QN_SHAPE(n, hidden));
    for (int i = 0; i < 3; i++)
        call->dtype[i] = gx->dtype;
    call->shape[0] = call->shape[1] = QN_SHAPE(steps, n, hidden);
    call->shape[2] = QN_SHAPE(steps, n, 4 * hidden);
    return status;
}

static void lstm_backward(qni_backward *b) {
    const qn_recurrent_attrs *attrs = b->attrs;
    qn_tensor *in[7] = {b->grad[0],
                        b->grad[1],
                        b->in[QN_LSTM_W_HH],
                        b->in[QN_LSTM_C0],
                        b->out[QN_LSTM_OUT_C],
                        b->out[QN_LSTM_OUT_GATES],
                        b->in[QN_LSTM_LENGTHS]};
    qn_tensor *out[3];
    if (qni_apply_all(&qni_op_lstm_grad, in, 7, attrs, out) != QN_OK)
        return;
    qni_give_recurrent_weight(b, QN_LSTM_W_HH, out[QN_LSTM_GRAD_OUT_DGX], b->out[QN_LSTM_OUT_Y],
                              b->in[QN_LSTM_H0], attrs->reverse);
    qni_give(b, QN_LSTM_GX, out[QN_LSTM_GRAD_OUT_DGX]);
    if (b->in[QN_LSTM_H0])
        qni_give(b, QN_LSTM_H0, out[QN_LSTM_GRAD_OUT_DH0]);
    if (b->in[QN_LSTM_C0])
        qni_give(b, QN_LSTM_C0, out[QN_LSTM_GRAD_OUT_DC0]);
}

static double lstm_operations(const qn_view *in, const qn_view *out) {
    (void)in;
    return qni_count(&out[0]) * (8 * qni_extent(&out[0], 0) + 13);
}

const qni_op qni_op_lstm = {
    .name = "lstm",
    .in = "gx w_hh h0 c0 lengths",
    .out = "y c gates",
    .inputs = 5,
    .outputs = 3,
    .unread = 1,
    .optional = 1u << QN_LSTM_H0 | 1u << QN_LSTM_C0 | 1u << QN_LSTM_LENGTHS,
    .attrs_size = sizeof(qn_recurrent_attrs),
    .fields = qni_recurrent_fields,
    .infer = lstm_infer,
    .backward = lstm_backward,
    .cost = {.of = QNI_FORMULA, .formula = lstm_operations},
};

qn_recurrent qn_lstm(qn_tensor *x, qn_tensor *w_ih, qn_tensor *w_hh, qn_tensor *b_ih,
                     qn_tensor *b_hh, const qn_recurrent_opts *opts) {
    static const qn_recurrent_opts defaults = {0};
    opts = opts ? opts : &defaults;
    if (!qni_recurrent_fits("lstm", 4, x, w_ih, w_hh, b_ih, b_hh))
        return (qn_recurrent){0};
    /* Both biases are added to the same sums. */
    qn_tensor *bias = b_ih && b_hh ? qn_add(b_ih, b_hh) : b_ih ? b_ih : b_hh;
    if (!bias && (b_ih || b_hh))
        return (qn_recurrent){0};
    qn_tensor *gx = qn_linear(qn_transpose(x, 0, 1), w_ih, bias);
    qn_tensor *in[5] = {gx, w_hh, opts->h0, opts->c0, opts->lengths};
    const qn_recurrent_attrs attrs = {.reverse = opts->reverse};
    qn_tensor *out[3];
    if (qni_apply_all(&qni_op_lstm, in, 5, &attrs, out) != QN_OK)
        return (qn_recurrent){0};
    return (qn_recurrent){.y = qn_transpose(out[0], 0, 1),
                          .h = qni_recurrent_last(out[0], opts->h0, opts->reverse),
                          .c = qni_recurrent_last(out[1], opts->c0, opts->reverse)};
}

/* The gradients of gx [t, n, 4 hidden], h0 and c0 [n, hidden]. */
static qn_status lstm_grad_infer(qni_infer *call) {
    const qn_view *cells = &call->in[QN_LSTM_GRAD_C]->view;
    const int64_t steps = cells->shape[0], n = cells->shape[1], hidden = cells->shape[2];
    qn_status status = qni_expect_float(call, QN_LSTM_GRAD_C);
    for (int i = QN_LSTM_GRAD_G_Y; i <= QN_LSTM_GRAD_G_C && status == QN_OK; i++)
        status = qni_expect_like(call, i, QN_LSTM_GRAD_C, qni_shape_of(cells));
    for (int i = 0; i < 3; i++)
        call->dtype[i] = cells->dtype;
    call->shape[0] = QN_SHAPE(steps, n, 4 * hidden);
    call->shape[1] = call->shape[2] = QN_SHAPE(n, hidden);
    return status;
}

static double lstm_grad_operations(const qn_view *in, const qn_view *out) {
    (void)in;
    return qni_count(&out[0]) / 4 * (2 * qni_extent(&out[0], 0) + 25);
}

const qni_op qni_op_lstm_grad = {
    .name = "lstm_grad",
    .in = "g_y g_c w_hh c0 c gates lengths",
    .out = "dgx dh0 dc0",
    .inputs = 7,
    .outputs = 3,
    .optional = 1u << QN_LSTM_GRAD_G_Y | 1u << QN_LSTM_GRAD_G_C | 1u << QN_LSTM_GRAD_C0 |
                1u << QN_LSTM_GRAD_LENGTHS,
    .attrs_size = sizeof(qn_recurrent_attrs),
    .fields = qni_recurrent_fields,
    .infer = lstm_grad_infer,
    .cost = {.of = QNI_FORMULA, .formula = lstm_grad_operations},
    .no_derivative = qni_once_recurrent,
};
