/* avg_pool2d.c: the mean of each window, and its gradient. */
#include "internal.h"

static void avg_pool2d_backward(qni_backward *b) {
    if (!b->needs[0])
        return;
    qn_pool2d_attrs attrs = *(const qn_pool2d_attrs *)b->attrs;
    attrs.input[0] = (int32_t)b->in[0]->view.shape[2];
    attrs.input[1] = (int32_t)b->in[0]->view.shape[3];
    qni_give(b, 0, qni_unary(&qni_op_avg_pool2d_grad, b->grad[0], &attrs));
}

const qni_op qni_op_avg_pool2d = {
    .name = "avg_pool2d",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .unread_outputs = 1,
    .rows = 1u << 0,
    .attrs_size = sizeof(qn_pool2d_attrs),
    .fields = qni_pool2d_fields,
    .infer = qni_infer_pool2d,
    .backward = avg_pool2d_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

qn_tensor *qn_avg_pool2d(qn_tensor *x, const qn_pool2d_opts *opts) {
    qn_pool2d_attrs attrs = qni_pool2d_attrs(opts);
    return qni_unary(&qni_op_avg_pool2d, x, &attrs);
}

/* Linear in g; its transpose is the pooling itself. */
static void avg_pool2d_grad_backward(qni_backward *b) {
    if (!b->needs[0])
        return;
    qn_pool2d_attrs attrs = *(const qn_pool2d_attrs *)b->attrs;
    attrs.input[0] = attrs.input[1] = 0;
    qni_give(b, 0, qni_unary(&qni_op_avg_pool2d, b->grad[0], &attrs));
}

const qni_op qni_op_avg_pool2d_grad = {
    .name = "avg_pool2d_grad",
    .in = "g",
    .out = "dx",
    .inputs = 1,
    .outputs = 1,
    .rows = 1u << 0,
    .attrs_size = sizeof(qn_pool2d_attrs),
    .fields = qni_pool2d_fields,
    .infer = qni_infer_pool2d_grad,
    .backward = avg_pool2d_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};
