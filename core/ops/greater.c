/* greater.c: y = a > b, as 0 or 1. */
#include "internal.h"

const qni_op qni_op_greater = {
    .name = "greater",
    .in = "a b",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_compare,
    .constant = true,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_greater(qn_tensor *a, qn_tensor *b) {
    return qni_binary(&qni_op_greater, a, b, NULL);
}
