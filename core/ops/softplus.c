/* softplus.c: y = ln(1 + e^x). */
#include "internal.h"

static void softplus_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_softplus_grad, b->grad[0], b->in[0], NULL));
}

const qni_op qni_op_softplus = {
    .name = "softplus",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = softplus_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 3},
};

qn_tensor *qn_softplus(qn_tensor *x) { return qni_unary(&qni_op_softplus, x, NULL); }

/* With s = sigmoid(x): y' = s, y'' = s (1 - s). */
static void softplus_grad_backward(qni_backward *b) {
    qn_tensor *g = b->in[0], *x = b->in[1], *u = b->grad[0];
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_softplus_grad, u, x, NULL));
    if (!b->needs[1])
        return;
    qn_tensor *s = qn_sigmoid(x);
    qni_give(b, 1, qn_mul(qn_mul(u, g), qn_mul(s, qn_affine(s, -1, 1))));
}

const qni_op qni_op_softplus_grad = {
    .name = "softplus_grad",
    .in = "g x",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_grad,
    .backward = softplus_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 3},
};
