/* add.c: y = a + b. */
#include "internal.h"

/* da = db = g. */
static void add_backward(qni_backward *b) {
    qni_give(b, 0, b->grad[0]);
    qni_give(b, 1, b->grad[0]);
}

const qni_op qni_op_add = {
    .name = "add",
    .in = "a b",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .unread = 3,
    .unread_outputs = 1,
    .elementwise = true,
    .infer = qni_infer_binary,
    .backward = add_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_add(qn_tensor *a, qn_tensor *b) { return qni_binary(&qni_op_add, a, b, NULL); }
