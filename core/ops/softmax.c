/* softmax.c: e^x / sum(e^x) along an axis, and its gradient. */
#include "internal.h"

static void softmax_backward(qni_backward *b) {
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_softmax_grad, b->grad[0], b->out[0], b->attrs));
}

const qni_op qni_op_softmax = {
    .name = "softmax",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .attrs_size = sizeof(qn_axis_attrs),
    .fields = qni_axis_fields,
    .infer = qni_infer_axis,
    .backward = softmax_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 5},
};

qn_tensor *qn_softmax(qn_tensor *x, int axis) {
    if (!x)
        return NULL;
    qn_axis_attrs attrs = {.axis = qni_axis("softmax", x, axis)};
    return attrs.axis < 0 ? NULL : qni_unary(&qni_op_softmax, x, &attrs);
}

/* dx = y (g - sum(g y)). For u, the gradient of dx:
 *   with respect to g: y (u - sum(u y)), the same map;
 *   with respect to y: u (g - sum(g y)) - g sum(u y). */
static void softmax_grad_backward(qni_backward *b) {
    const qn_axis_attrs *attrs = b->attrs;
    qn_tensor *g = b->in[0], *y = b->in[1], *u = b->grad[0];
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_softmax_grad, u, y, attrs));
    if (!b->needs[1])
        return;
    qn_axes axis = QN_AXES(attrs->axis);
    qn_tensor *first = qn_mul(u, qn_sub(g, qn_sum(qn_mul(g, y), axis, true)));
    qni_give(b, 1, qn_sub(first, qn_mul(g, qn_sum(qn_mul(u, y), axis, true))));
}

const qni_op qni_op_softmax_grad = {
    .name = "softmax_grad",
    .in = "g y",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_axis_attrs),
    .fields = qni_axis_fields,
    .infer = qni_infer_grad,
    .backward = softmax_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 4},
};
