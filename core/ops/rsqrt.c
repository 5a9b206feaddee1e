/* rsqrt.c: y = 1 / sqrt(x). */
#include "internal.h"

/* dx = -g y^3 / 2. */
static void rsqrt_backward(qni_backward *b) {
    qn_tensor *y = b->out[0];
    qn_tensor *cube = qn_mul(y, qn_mul(y, y));
    qni_give(b, 0, qn_affine(qn_mul(b->grad[0], cube), -0.5, 0));
}

const qni_op qni_op_rsqrt = {
    .name = "rsqrt",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = rsqrt_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_rsqrt(qn_tensor *x) { return qni_unary(&qni_op_rsqrt, x, NULL); }
