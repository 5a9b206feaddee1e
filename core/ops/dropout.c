/* dropout.c: elements dropped at random while training. */
#include "internal.h"

static qn_status dropout_infer(qni_infer *call) {
    const qn_view *x = &call->in[0]->view;
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 1, QN_I64);
    if (status == QN_OK)
        status = qni_expect_shape(call, 1, QN_SHAPE(2));
    call->dtype[0] = x->dtype;
    call->shape[0] = qni_shape_of(x);
    if (call->op->outputs > 1) {
        call->dtype[1] = QN_I64;
        call->shape[1] = QN_SHAPE(2);
    }
    return status;
}

static void dropout_backward(qni_backward *b) {
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_dropout_grad, b->grad[0], b->out[1], b->attrs));
}

/* The mask is never stored: the second output is the random state before the call, and the gradient
 * draws the same mask from it again. */
const qni_op qni_op_dropout = {
    .name = "dropout",
    .in = "x state",
    .out = "y saved",
    .inputs = 2,
    .outputs = 2,
    .unread = 1,
    .unread_outputs = 1,
    .mutates = 1u << 1,
    .attrs_size = sizeof(qn_dropout_attrs),
    .fields = qni_dropout_fields,
    .infer = dropout_infer,
    .backward = dropout_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_dropout(qn_tensor *x, double p, bool training) {
    if (!x)
        return NULL;
    if (!(p >= 0 && p <= 1)) {
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT,
                        "dropout: probability must be within 0 and 1, got %g", p);
        return NULL;
    }
    if (!training || p == 0)
        return x;
    qn_dropout_attrs attrs = {.probability = p};
    qn_tensor *out[2], *in[2] = {x, qni_random(x->ctx)};
    return qni_apply_all(&qni_op_dropout, in, 2, &attrs, out) == QN_OK ? out[0] : NULL;
}

/* Linear in g, and its own transpose. */
static void dropout_grad_backward(qni_backward *b) {
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_dropout_grad, b->grad[0], b->in[1], b->attrs));
}

const qni_op qni_op_dropout_grad = {
    .name = "dropout_grad",
    .in = "g saved",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_dropout_attrs),
    .fields = qni_dropout_fields,
    .infer = dropout_infer,
    .backward = dropout_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};
