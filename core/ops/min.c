/* min.c: the smallest element along a set of axes. */
#include "internal.h"

const qni_op qni_op_min = {
    .name = "min",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .reduction = true,
    .attrs_size = sizeof(qn_reduce_attrs),
    .fields = qni_reduce_fields,
    .infer = qni_infer_extreme,
    .backward = qni_extreme_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

qn_tensor *qn_min(qn_tensor *x, qn_axes axes, bool keepdim) {
    return qni_reduce(&qni_op_min, x, axes, 0, keepdim);
}
