/* sqrt.c: y = sqrt(x). */
#include "internal.h"

/* dx = g / (2 y). */
static void sqrt_backward(qni_backward *b) {
    qni_give(b, 0, qn_affine(qn_div(b->grad[0], b->out[0]), 0.5, 0));
}

const qni_op qni_op_sqrt = {
    .name = "sqrt",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = sqrt_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_sqrt(qn_tensor *x) { return qni_unary(&qni_op_sqrt, x, NULL); }
