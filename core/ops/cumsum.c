/* cumsum.c: the running sum along an axis. */
#include "internal.h"

/* dx = the running sum of g from the other end. */
static void cumsum_backward(qni_backward *b) {
    qn_cumsum_attrs attrs = *(const qn_cumsum_attrs *)b->attrs;
    attrs.reverse = !attrs.reverse;
    qni_give(b, 0, qni_unary(&qni_op_cumsum, b->grad[0], &attrs));
}

const qni_op qni_op_cumsum = {
    .name = "cumsum",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_cumsum_attrs),
    .fields = qni_cumsum_fields,
    .infer = qni_infer_unary,
    .backward = cumsum_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_cumsum(qn_tensor *x, int axis) {
    int at = x ? qni_axis("cumsum", x, axis) : -1;
    if (at < 0)
        return NULL;
    qn_cumsum_attrs attrs = {.axis = at};
    return qni_unary(&qni_op_cumsum, x, &attrs);
}
