/* not_equal.c: y = a != b, as 0 or 1. */
#include "internal.h"

const qni_op qni_op_not_equal = {
    .name = "not_equal",
    .in = "a b",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_compare,
    .constant = true,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_not_equal(qn_tensor *a, qn_tensor *b) {
    return qni_binary(&qni_op_not_equal, a, b, NULL);
}
