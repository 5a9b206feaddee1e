/* neg.c: y = -x. */
#include "internal.h"

/* dx = -g. */
static void neg_backward(qni_backward *b) { qni_give(b, 0, qn_neg(b->grad[0])); }

const qni_op qni_op_neg = {
    .name = "neg",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .unread_outputs = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = neg_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_neg(qn_tensor *x) { return qni_unary(&qni_op_neg, x, NULL); }
