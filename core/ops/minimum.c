/* minimum.c: y = min(a, b). */
#include "internal.h"

/* The smaller gets g, which is what b > a decides for a; at a tie both get half. */
static void minimum_backward(qni_backward *b) {
    if (b->needs[0])
        qni_give(b, 0, qni_share_of_greater(b->grad[0], b->in[1], b->in[0]));
    if (b->needs[1])
        qni_give(b, 1, qni_share_of_greater(b->grad[0], b->in[0], b->in[1]));
}

const qni_op qni_op_minimum = {
    .name = "minimum",
    .in = "a b",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_binary,
    .backward = minimum_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_minimum(qn_tensor *a, qn_tensor *b) {
    return qni_binary(&qni_op_minimum, a, b, NULL);
}
