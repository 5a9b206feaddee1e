/* gather.c: along one axis, elements picked by index. */
#include "internal.h"

static qn_status gather_infer(qni_infer *call) {
    const qn_axis_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0]->view, *index = &call->in[1]->view;
    qn_status status = qni_expect_dtype(call, 1, QN_I64);
    if (status == QN_OK)
        status = qni_expect_rank(call, 1, x->rank);
    if (status != QN_OK)
        return status;
    for (int axis = 0; axis < x->rank; axis++)
        if (axis != attrs->axis && index->shape[axis] != x->shape[axis])
            return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                                   "gather: extents differ on axis %d: %s x %s", axis,
                                   qni_text(call->in[0]).s, qni_text(call->in[1]).s);
    call->dtype[0] = x->dtype;
    call->shape[0] = qni_shape_of(index);
    return QN_OK;
}

/* dx = zeros, plus g where each element was picked. */
static void gather_backward(qni_backward *b) {
    const qn_axis_attrs *attrs = b->attrs;
    int64_t extent = b->in[0]->view.shape[attrs->axis];
    qni_give(b, 0, qn_scatter_add(b->grad[0], attrs->axis, b->in[1], extent));
}

const qni_op qni_op_gather = {
    .name = "gather",
    .in = "x index",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_axis_attrs),
    .fields = qni_axis_fields,
    .infer = gather_infer,
    .backward = gather_backward,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_tensor *qn_gather(qn_tensor *x, int axis, qn_tensor *index) {
    if (!qni_given("gather", (qn_tensor *[]){x, index}, 2))
        return NULL;
    qn_axis_attrs attrs = {.axis = qni_axis("gather", x, axis)};
    return attrs.axis < 0 ? NULL : qni_binary(&qni_op_gather, x, index, &attrs);
}
