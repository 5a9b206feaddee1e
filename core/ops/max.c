/* max.c: the greatest element along a set of axes. */
#include "internal.h"

void qni_extreme_backward(qni_backward *b) {
    qn_tensor *chosen = qn_cast(qn_equal(b->in[0], b->out[0]), b->grad[0]->view.dtype);
    qn_tensor *count = qni_unary(&qni_op_sum, chosen, b->attrs);
    qni_give(b, 0, qn_mul(qn_div(b->grad[0], count), chosen));
}

const qni_op qni_op_max = {
    .name = "max",
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

qn_tensor *qn_max(qn_tensor *x, qn_axes axes, bool keepdim) {
    return qni_reduce(&qni_op_max, x, axes, 0, keepdim);
}
