/* max_pool2d.c: the greatest element of each window, and its gradient. */
#include "internal.h"

static qn_status max_pool2d_infer(qni_infer *call) {
    const qn_view *x = &call->in[0]->view;
    qn_status status = qni_infer_pool2d(call);
    if (status != QN_OK)
        return status;
    if (x->shape[2] * x->shape[3] > INT32_MAX)
        return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                               "max_pool2d: a plane may have at most 2147483647 elements: %s",
                               qni_text(call->in[0]).s);
    call->dtype[1] = QN_I32;
    call->shape[1] = call->shape[0];
    return QN_OK;
}

static void max_pool2d_backward(qni_backward *b) {
    if (!b->needs[0])
        return;
    qn_pool2d_attrs attrs = *(const qn_pool2d_attrs *)b->attrs;
    attrs.input[0] = (int32_t)b->in[0]->view.shape[2];
    attrs.input[1] = (int32_t)b->in[0]->view.shape[3];
    qni_give(b, 0, qni_binary(&qni_op_max_pool2d_grad, b->grad[0], b->out[1], &attrs));
}

const qni_op qni_op_max_pool2d = {
    .name = "max_pool2d",
    .in = "x",
    .out = "y index",
    .inputs = 1,
    .outputs = 2,
    .unread = 1,
    .unread_outputs = 1,
    .rows = 1u << 0,
    .attrs_size = sizeof(qn_pool2d_attrs),
    .fields = qni_pool2d_fields,
    .infer = max_pool2d_infer,
    .backward = max_pool2d_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

qn_tensor *qn_max_pool2d(qn_tensor *x, const qn_pool2d_opts *opts) {
    if (!x)
        return NULL;
    qn_pool2d_attrs attrs = qni_pool2d_attrs(opts);
    attrs.count_include_pad = 0; /* means nothing here */
    qn_tensor *out[2];
    return qni_apply_all(&qni_op_max_pool2d, &x, 1, &attrs, out) == QN_OK ? out[0] : NULL;
}

static qn_status max_pool2d_grad_infer(qni_infer *call) {
    qn_status status = qni_infer_pool2d_grad(call);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 1, QN_I32);
    return status != QN_OK ? status : qni_expect_shape(call, 1, qni_shape_of(&call->in[0]->view));
}

/* dx puts g where the greatest elements were; for u, the gradient of dx, dg takes u from there. */
static void max_pool2d_grad_backward(qni_backward *b) {
    if (!b->needs[0])
        return;
    qn_shape shape = qni_shape_of(&b->in[0]->view);
    int64_t planes = shape.dim[0] * shape.dim[1], places = shape.dim[2] * shape.dim[3];
    const qn_view *u = &b->grad[0]->view;
    qn_tensor *flat = qn_reshape(b->grad[0], QN_SHAPE(planes, u->shape[2] * u->shape[3]));
    qn_tensor *index = qn_reshape(qn_cast(b->in[1], QN_I64), QN_SHAPE(planes, places));
    qni_give(b, 0, qn_reshape(qn_gather(flat, 1, index), shape));
}

const qni_op qni_op_max_pool2d_grad = {
    .name = "max_pool2d_grad",
    .in = "g index",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .rows = 1u << 0 | 1u << 1,
    .attrs_size = sizeof(qn_pool2d_attrs),
    .fields = qni_pool2d_fields,
    .infer = max_pool2d_grad_infer,
    .backward = max_pool2d_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};
