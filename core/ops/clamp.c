/* clamp.c: y = min(max(x, low), high). */
#include "internal.h"

static void clamp_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_clamp_grad, b->grad[0], b->in[0], b->attrs));
}

const qni_op qni_op_clamp = {
    .name = "clamp",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_range_attrs),
    .fields = qni_range_fields,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = clamp_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 2},
};

qn_tensor *qn_clamp(qn_tensor *x, double low, double high) {
    qn_range_attrs attrs = {.low = low, .high = high};
    return qni_unary(&qni_op_clamp, x, &attrs);
}

qn_status qn_clamp_in_place(qn_tensor *x, double low, double high) {
    if (!x)
        return QN_INVALID_ARGUMENT;
    qn_range_attrs attrs = {.low = low, .high = high};
    if (qn_tensor_is_contiguous(x))
        return qni_apply_to(&qni_op_clamp, &x, 1, &attrs, x) ? QN_OK : x->ctx->status;
    return qn_copy(x, qn_clamp(qn_detach(x), low, high));
}

/* dx = g where low <= x <= high, else 0: linear in g, and constant in x between the steps. */
static void clamp_grad_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_clamp_grad, b->grad[0], b->in[1], b->attrs));
    qni_give_zeros(b, 1);
}

const qni_op qni_op_clamp_grad = {
    .name = "clamp_grad",
    .in = "g x",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_range_attrs),
    .fields = qni_range_fields,
    .elementwise = true,
    .infer = qni_infer_grad,
    .backward = clamp_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};
