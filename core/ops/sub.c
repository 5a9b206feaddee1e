/* sub.c: y = a - b. */
#include "internal.h"

/* da = g, db = -g. */
static void sub_backward(qni_backward *b) {
    qni_give(b, 0, b->grad[0]);
    if (b->needs[1])
        qni_give(b, 1, qn_neg(b->grad[0]));
}

const qni_op qni_op_sub = {
    .name = "sub",
    .in = "a b",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .unread = 3,
    .unread_outputs = 1,
    .elementwise = true,
    .infer = qni_infer_binary,
    .backward = sub_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_sub(qn_tensor *a, qn_tensor *b) { return qni_binary(&qni_op_sub, a, b, NULL); }
