/* tanh.c: y = tanh(x), the hyperbolic tangent. */
#include "internal.h"

static void tanh_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_tanh_grad, b->grad[0], b->out[0], NULL));
}

const qni_op qni_op_tanh = {
    .name = "tanh",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = tanh_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_tanh(qn_tensor *x) { return qni_unary(&qni_op_tanh, x, NULL); }

/* dx = g (1 - y^2). For u, the gradient of dx: dg = u (1 - y^2), dy = -2 u g y. */
static void tanh_grad_backward(qni_backward *b) {
    qn_tensor *g = b->in[0], *y = b->in[1], *u = b->grad[0];
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_tanh_grad, u, y, NULL));
    if (b->needs[1])
        qni_give(b, 1, qn_affine(qn_mul(qn_mul(u, g), y), -2, 0));
}

const qni_op qni_op_tanh_grad = {
    .name = "tanh_grad",
    .in = "g y",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_grad,
    .backward = tanh_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 3},
};
