/* min.c: the smallest element along a set of axes. */
#include "internal.h"

const qni_op qni_op_min = {
    .name = "min",
    .inputs = 1,
    .outputs = 1,
    .reduction = true,
    .attrs_size = sizeof(qn_reduce_attrs),
    .infer = qni_infer_extreme,
    .backward = qni_extreme_backward,
};

qn_tensor *qn_min(qn_tensor *x, qn_axes axes, bool keepdim) {
    return qni_reduce(&qni_op_min, x, axes, 0, keepdim);
}
