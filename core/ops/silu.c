/* silu.c: y = x sigmoid(x) (Hendrycks and Gimpel 2016). */
#include "internal.h"

static void silu_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_silu_grad, b->grad[0], b->in[0], NULL));
}

const qni_op qni_op_silu = {
    .name = "silu",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread_outputs = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = silu_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 4},
};

qn_tensor *qn_silu(qn_tensor *x) { return qni_unary(&qni_op_silu, x, NULL); }

/* With s = sigmoid(x): y' = s (1 + x (1 - s)), y'' = s (1 - s) (2 + x (1 - 2 s)). */
static void silu_grad_backward(qni_backward *b) {
    qn_tensor *g = b->in[0], *x = b->in[1], *u = b->grad[0];
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_silu_grad, u, x, NULL));
    if (!b->needs[1])
        return;
    qn_tensor *s = qn_sigmoid(x);
    qn_tensor *slope = qn_mul(s, qn_affine(s, -1, 1));
    qn_tensor *rest = qn_affine(qn_mul(x, qn_affine(s, -2, 1)), 1, 2);
    qni_give(b, 1, qn_mul(qn_mul(u, g), qn_mul(slope, rest)));
}

const qni_op qni_op_silu_grad = {
    .name = "silu_grad",
    .in = "g x",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_grad,
    .backward = silu_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 6},
};
