/* relu.c: y = max(x, 0). */
#include "internal.h"

static void relu_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_relu_grad, b->grad[0], b->out[0], NULL));
}

const qni_op qni_op_relu = {
    .name = "relu",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = relu_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_relu(qn_tensor *x) { return qni_unary(&qni_op_relu, x, NULL); }

/* dx = g where y > 0, else 0: linear in g, and constant in y between the steps. */
static void relu_grad_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_relu_grad, b->grad[0], b->in[1], NULL));
    qni_give_zeros(b, 1);
}

const qni_op qni_op_relu_grad = {
    .name = "relu_grad",
    .in = "g y",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_grad,
    .backward = relu_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};
