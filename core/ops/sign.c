/* sign.c: y = -1, 0 or 1; its derivative is 0, at 0 as well. */
#include "internal.h"

const qni_op qni_op_sign = {
    .name = "sign",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .unread = 1,
    .unread_outputs = 1,
    .backward = qni_zero_backward,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_tensor *qn_sign(qn_tensor *x) { return qni_unary(&qni_op_sign, x, NULL); }
