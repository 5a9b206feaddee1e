/* exp.c: y = e^x. */
#include "internal.h"

/* dx = g y. */
static void exp_backward(qni_backward *b) { qni_give(b, 0, qn_mul(b->grad[0], b->out[0])); }

const qni_op qni_op_exp = {
    .name = "exp",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = exp_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_exp(qn_tensor *x) { return qni_unary(&qni_op_exp, x, NULL); }
