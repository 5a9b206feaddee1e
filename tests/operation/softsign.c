/* softsign.c: y = x / (1 + |x|). */
#include "internal.h"

/* dx = g (1 - |y|)^2. */
static void softsign_backward(qni_backward *b) {
    qn_tensor *rest = qn_affine(qn_abs(b->out[0]), -1, 1);
    qni_give(b, 0, qn_mul(b->grad[0], qn_mul(rest, rest)));
}

const qni_op qni_op_softsign = {
    .name = "softsign",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = softsign_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 3},
};

qn_tensor *qn_softsign(qn_tensor *x) { return qni_unary(&qni_op_softsign, x, NULL); }
