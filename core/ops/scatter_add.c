/* scatter_add.c: along one axis, elements added up by index. */
#include "internal.h"

static qn_status scatter_add_infer(qni_infer *call) {
    const qn_scatter_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0]->view;
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 1, QN_I64);
    if (status == QN_OK)
        status = qni_expect_shape(call, 1, qni_shape_of(x));
    if (status == QN_OK && attrs->extent < 0)
        status = qn_context_fail(call->ctx, QN_INVALID_ARGUMENT, "scatter_add: no extent %lld",
                                 (long long)attrs->extent);
    call->dtype[0] = x->dtype;
    call->shape[0] = qni_shape_of(x);
    call->shape[0].dim[attrs->axis] = attrs->extent;
    return status;
}

/* dx = g where each element went. */
static void scatter_add_backward(qni_backward *b) {
    const qn_scatter_attrs *attrs = b->attrs;
    qni_give(b, 0, qn_gather(b->grad[0], attrs->axis, b->in[1]));
}

const qni_op qni_op_scatter_add = {
    .name = "scatter_add",
    .in = "x index",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_scatter_attrs),
    .fields = qni_scatter_fields,
    .infer = scatter_add_infer,
    .backward = scatter_add_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

qn_tensor *qn_scatter_add(qn_tensor *x, int axis, qn_tensor *index, int64_t extent) {
    int at = qni_given("scatter_add", (qn_tensor *[]){x, index}, 2)
                 ? qni_axis("scatter_add", x, axis)
                 : -1;
    if (at < 0)
        return NULL;
    qn_scatter_attrs attrs = {0}; /* field by field: the gap between them stays zero */
    attrs.axis = at;
    attrs.extent = extent;
    return qni_binary(&qni_op_scatter_add, x, index, &attrs);
}
