/* sum.c: the sum over a set of axes. */
#include "internal.h"

/* dx = g, the same for every element that was summed. */
static void sum_backward(qni_backward *b) {
    qni_give(b, 0, qn_expand(b->grad[0], qni_shape_of(&b->in[0]->view)));
}

const qni_op qni_op_sum = {
    .name = "sum",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .unread_outputs = 1,
    .reduction = true,
    .attrs_size = sizeof(qn_reduce_attrs),
    .fields = qni_reduce_fields,
    .infer = qni_infer_reduce,
    .backward = sum_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

qn_tensor *qn_sum(qn_tensor *x, qn_axes axes, bool keepdim) {
    return qni_reduce(&qni_op_sum, x, axes, 0, keepdim);
}
