/* log_softmax.c: x - log(sum(e^x)) along an axis, and its gradient. */
#include "internal.h"

static void log_softmax_backward(qni_backward *b) {
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_log_softmax_grad, b->grad[0], b->out[0], b->attrs));
}

const qni_op qni_op_log_softmax = {
    .name = "log_softmax",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .attrs_size = sizeof(qn_axis_attrs),
    .fields = qni_axis_fields,
    .infer = qni_infer_axis,
    .backward = log_softmax_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 5},
};

qn_tensor *qn_log_softmax(qn_tensor *x, int axis) {
    if (!x)
        return NULL;
    qn_axis_attrs attrs = {.axis = qni_axis("log_softmax", x, axis)};
    return attrs.axis < 0 ? NULL : qni_unary(&qni_op_log_softmax, x, &attrs);
}

/* dx = g - e^y sum(g). For u, the gradient of dx:
 *   with respect to g: u - sum(u e^y);
 *   with respect to y: -u e^y sum(g). */
static void log_softmax_grad_backward(qni_backward *b) {
    const qn_axis_attrs *attrs = b->attrs;
    qn_tensor *g = b->in[0], *u = b->grad[0];
    qn_axes axis = QN_AXES(attrs->axis);
    qn_tensor *weighted = qn_mul(u, qn_exp(b->in[1]));
    if (b->needs[0])
        qni_give(b, 0, qn_sub(u, qn_sum(weighted, axis, true)));
    if (b->needs[1])
        qni_give(b, 1, qn_neg(qn_mul(weighted, qn_sum(g, axis, true))));
}

const qni_op qni_op_log_softmax_grad = {
    .name = "log_softmax_grad",
    .in = "g y",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_axis_attrs),
    .fields = qni_axis_fields,
    .infer = qni_infer_grad,
    .backward = log_softmax_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 4},
};
