/* moving_average.c: the mean over a window that slides along an axis, and its gradient. */
#include "internal.h"

static qn_status moving_average_infer(qni_infer *call) {
    const qn_moving_average_attrs *attrs = call->attrs;
    if (attrs->window < 1 || attrs->window % 2 == 0)
        return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                               "%s: window must be odd and at least 1, got %d", call->op->name,
                               (int)attrs->window);
    return qni_infer_unary(call);
}

/* Linear: the gradient is the transpose, and the transpose's gradient the operation. */
static void moving_average_backward(qni_backward *b) {
    qni_give(b, 0, qni_unary(&qni_op_moving_average_grad, b->grad[0], b->attrs));
}

const qni_op qni_op_moving_average = {
    .name = "moving_average",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_moving_average_attrs),
    .fields = qni_moving_average_fields,
    .infer = moving_average_infer,
    .backward = moving_average_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 2},
};

static void moving_average_grad_backward(qni_backward *b) {
    qni_give(b, 0, qni_unary(&qni_op_moving_average, b->grad[0], b->attrs));
}

const qni_op qni_op_moving_average_grad = {
    .name = "moving_average_grad",
    .in = "g",
    .out = "dx",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_moving_average_attrs),
    .fields = qni_moving_average_fields,
    .infer = moving_average_infer,
    .backward = moving_average_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 2},
};

qn_tensor *qn_moving_average(qn_tensor *x, int axis, int window) {
    int at = x ? qni_axis("moving_average", x, axis) : -1;
    if (at < 0)
        return NULL;
    qn_moving_average_attrs attrs = {.axis = at, .window = window};
    return qni_unary(&qni_op_moving_average, x, &attrs);
}
