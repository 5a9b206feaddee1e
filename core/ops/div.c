/* div.c: y = a / b. */
#include "internal.h"

/* da = g / b, db = -da y. */
static void div_backward(qni_backward *b) {
    qn_tensor *da = qn_div(b->grad[0], b->in[1]);
    qni_give(b, 0, da);
    if (b->needs[1])
        qni_give(b, 1, qn_neg(qn_mul(da, b->out[0])));
}

const qni_op qni_op_div = {
    .name = "div",
    .in = "a b",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .unread = 1,
    .elementwise = true,
    .infer = qni_infer_binary,
    .backward = div_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_div(qn_tensor *a, qn_tensor *b) { return qni_binary(&qni_op_div, a, b, NULL); }
