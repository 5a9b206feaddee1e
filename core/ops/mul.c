/* mul.c: y = a b. */
#include "internal.h"

/* da = g b, db = g a. */
static void mul_backward(qni_backward *b) {
    if (b->needs[0])
        qni_give(b, 0, qn_mul(b->grad[0], b->in[1]));
    if (b->needs[1])
        qni_give(b, 1, qn_mul(b->grad[0], b->in[0]));
}

const qni_op qni_op_mul = {
    .name = "mul",
    .in = "a b",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .unread_outputs = 1,
    .elementwise = true,
    .infer = qni_infer_binary,
    .backward = mul_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_mul(qn_tensor *a, qn_tensor *b) { return qni_binary(&qni_op_mul, a, b, NULL); }
