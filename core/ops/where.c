/* where.c: y = condition ? a : b. */
#include "internal.h"

static qn_status where_infer(qni_infer *call) {
    qn_shape shape[3];
    for (int i = 0; i < 3; i++)
        shape[i] = qni_shape_of(&call->in[i]->view);
    qn_status status = qni_expect_dtype(call, 0, QN_U8);
    if (status == QN_OK)
        status = qni_expect_same_dtype(call, 2, 1);
    if (status != QN_OK)
        return status;
    call->dtype[0] = call->in[1]->view.dtype;
    if (qni_broadcast(shape[1], shape[2], &call->shape[0]) &&
        qni_broadcast(shape[0], call->shape[0], &call->shape[0]))
        return QN_OK;
    return qn_context_fail(
        call->ctx, QN_SHAPE_MISMATCH, "where: shapes do not broadcast: %s x %s x %s",
        qn_shape_text(shape[0]).s, qn_shape_text(shape[1]).s, qn_shape_text(shape[2]).s);
}

/* da = g where the condition holds, db = g elsewhere. */
static void where_backward(qni_backward *b) {
    qn_tensor *condition = b->in[0], *g = b->grad[0];
    qn_tensor *none = qn_zeros(b->ctx, g->view.dtype, QN_SCALAR);
    if (b->needs[1])
        qni_give(b, 1, qn_where(condition, g, none));
    if (b->needs[2])
        qni_give(b, 2, qn_where(condition, none, g));
}

const qni_op qni_op_where = {
    .name = "where",
    .in = "condition a b",
    .out = "y",
    .inputs = 3,
    .outputs = 1,
    .elementwise = true,
    .infer = where_infer,
    .backward = where_backward,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_tensor *qn_where(qn_tensor *condition, qn_tensor *a, qn_tensor *b) {
    qn_tensor *in[] = {condition, a, b};
    return qni_apply(&qni_op_where, in, 3, NULL);
}
