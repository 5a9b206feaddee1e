/* abs.c: y = |x|. */
#include "internal.h"

/* dx = g sign(x). */
static void abs_backward(qni_backward *b) { qni_give(b, 0, qn_mul(b->grad[0], qn_sign(b->in[0]))); }

const qni_op qni_op_abs = {
    .name = "abs",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = abs_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_abs(qn_tensor *x) { return qni_unary(&qni_op_abs, x, NULL); }
