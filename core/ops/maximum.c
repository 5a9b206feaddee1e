/* maximum.c: y = max(a, b). */
#include "internal.h"

/* Passed on by selection, not by a product with a mask, so that an infinite g stays what it is. */
qn_tensor *qni_share_of_greater(qn_tensor *g, qn_tensor *a, qn_tensor *b) {
    if (!g)
        return NULL;
    qn_tensor *none = qn_zeros(g->ctx, g->view.dtype, QN_SCALAR);
    qn_tensor *at_most = qn_where(qn_equal(a, b), qn_affine(g, 0.5, 0), g);
    return qn_where(qn_less(a, b), none, at_most);
}

/* The greater gets g; at a tie both get half. */
static void maximum_backward(qni_backward *b) {
    if (b->needs[0])
        qni_give(b, 0, qni_share_of_greater(b->grad[0], b->in[0], b->in[1]));
    if (b->needs[1])
        qni_give(b, 1, qni_share_of_greater(b->grad[0], b->in[1], b->in[0]));
}

const qni_op qni_op_maximum = {
    .name = "maximum",
    .in = "a b",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_binary,
    .backward = maximum_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_maximum(qn_tensor *a, qn_tensor *b) {
    return qni_binary(&qni_op_maximum, a, b, NULL);
}
