/* sigmoid.c: y = 1 / (1 + e^-x). */
#include "internal.h"

static void sigmoid_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_sigmoid_grad, b->grad[0], b->out[0], NULL));
}

const qni_op qni_op_sigmoid = {
    .name = "sigmoid",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = sigmoid_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 3},
};

qn_tensor *qn_sigmoid(qn_tensor *x) { return qni_unary(&qni_op_sigmoid, x, NULL); }

/* dx = g y (1 - y). For u, the gradient of dx: dg = u y (1 - y), dy = u g (1 - 2 y). */
static void sigmoid_grad_backward(qni_backward *b) {
    qn_tensor *g = b->in[0], *y = b->in[1], *u = b->grad[0];
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_sigmoid_grad, u, y, NULL));
    if (b->needs[1])
        qni_give(b, 1, qn_mul(qn_mul(u, g), qn_affine(y, -2, 1)));
}

const qni_op qni_op_sigmoid_grad = {
    .name = "sigmoid_grad",
    .in = "g y",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_grad,
    .backward = sigmoid_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 3},
};
