/* square_sum.c: the sum of squares of all elements, or of some rows, for clipping by norm. */
#include "internal.h"

static qn_status square_sum_infer(qni_infer *call) {
    call->dtype[0] = call->in[0]->view.dtype;
    call->shape[0] = QN_SCALAR;
    qn_status status = qni_expect_float(call, 0);
    return status != QN_OK ? status : qni_expect_seen(call, 1);
}

/* dx = 2 g x, of the rows seen. */
static void square_sum_backward(qni_backward *b) {
    qn_tensor *x = b->in[0], *seen = b->in[1];
    qn_tensor *dx = qn_mul(b->grad[0], qn_affine(x, 2, 0));
    if (seen && x->view.rank > 2)
        seen = qn_reshape(
            seen, (qn_shape){.rank = x->view.rank, .dim = {x->view.shape[0], 1, 1, 1, 1, 1}});
    if (seen && x->view.rank == 1)
        seen = qn_reshape(seen, QN_SHAPE(x->view.shape[0]));
    qni_give(b, 0, seen ? qn_where(seen, dx, qn_zeros(b->ctx, x->view.dtype, QN_SCALAR)) : dx);
}

const qni_op qni_op_square_sum = {
    .name = "square_sum",
    .in = "x seen",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .optional = 1u << 1,
    .unread_outputs = 1,
    .infer = square_sum_infer,
    .cost = {.of = QNI_PER_INPUT, .each = 2},
    .backward = square_sum_backward,
};

qn_tensor *qn_square_sum(qn_tensor *x) { return qn_square_sum_rows(x, NULL); }

qn_tensor *qn_square_sum_rows(qn_tensor *x, qn_tensor *seen) {
    return qni_binary(&qni_op_square_sum, x, seen, NULL);
}
