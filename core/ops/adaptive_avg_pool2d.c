/* adaptive_avg_pool2d.c: means over windows that divide the plane evenly, and their gradient. */
#include "internal.h"

/** [n, c, ., .] to [n, c, extent]: the rule of the pooling and of its gradient. */
static qn_status adaptive_infer(qni_infer *call) {
    const qn_extent2d_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0]->view;
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 0, 4);
    if (status != QN_OK)
        return status;
    if (attrs->extent[0] < 1 || attrs->extent[1] < 1)
        return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                               "%s: height and width must be at least 1, got %d and %d",
                               call->op->name, (int)attrs->extent[0], (int)attrs->extent[1]);
    if (x->shape[2] < 1 || x->shape[3] < 1 || x->shape[2] > INT32_MAX || x->shape[3] > INT32_MAX)
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "%s: height and width must be within 1 and 2147483647: %s",
                               call->op->name, qni_text(call->in[0]).s);
    call->dtype[0] = x->dtype;
    call->shape[0] = QN_SHAPE(x->shape[0], x->shape[1], attrs->extent[0], attrs->extent[1]);
    return QN_OK;
}

/** Applies `op` to the gradient that arrived, with the extents of input 0. */
static void adaptive_transpose(qni_backward *b, const qni_op *op) {
    if (!b->needs[0])
        return;
    const int64_t *shape = b->in[0]->view.shape;
    qn_extent2d_attrs attrs = {.extent = {(int32_t)shape[2], (int32_t)shape[3]}};
    qni_give(b, 0, qni_unary(op, b->grad[0], &attrs));
}

static void adaptive_avg_pool2d_backward(qni_backward *b) {
    adaptive_transpose(b, &qni_op_adaptive_avg_pool2d_grad);
}

const qni_op qni_op_adaptive_avg_pool2d = {
    .name = "adaptive_avg_pool2d",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_extent2d_attrs),
    .fields = qni_extent2d_fields,
    .infer = adaptive_infer,
    .backward = adaptive_avg_pool2d_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

qn_tensor *qn_adaptive_avg_pool2d(qn_tensor *x, int height, int width) {
    qn_extent2d_attrs attrs = {.extent = {height, width}};
    return qni_unary(&qni_op_adaptive_avg_pool2d, x, &attrs);
}

/* Linear in g; its transpose is the pooling itself. */
static void adaptive_avg_pool2d_grad_backward(qni_backward *b) {
    adaptive_transpose(b, &qni_op_adaptive_avg_pool2d);
}

const qni_op qni_op_adaptive_avg_pool2d_grad = {
    .name = "adaptive_avg_pool2d_grad",
    .in = "g",
    .out = "dx",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_extent2d_attrs),
    .fields = qni_extent2d_fields,
    .infer = adaptive_infer,
    .backward = adaptive_avg_pool2d_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};
