/* argmax.c: the position of the greatest element along an axis. */
#include "internal.h"

static qn_status argmax_infer(qni_infer *call) {
    const qn_axis_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0]->view;
    if (x->shape[attrs->axis] == 0)
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH, "argmax: axis %d has no elements: %s",
                               (int)attrs->axis, qni_text(call->in[0]).s);
    call->dtype[0] = QN_I64;
    for (int axis = 0; axis < x->rank; axis++)
        if (axis != attrs->axis)
            call->shape[0].dim[call->shape[0].rank++] = x->shape[axis];
    return QN_OK;
}

const qni_op qni_op_argmax = {
    .name = "argmax",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_axis_attrs),
    .fields = qni_axis_fields,
    .infer = argmax_infer,
    .constant = true,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

qn_tensor *qn_argmax(qn_tensor *x, int axis) {
    if (!x)
        return NULL;
    qn_axis_attrs attrs = {.axis = qni_axis("argmax", x, axis)};
    return attrs.axis < 0 ? NULL : qni_unary(&qni_op_argmax, x, &attrs);
}
