/* concat.c: tensors joined along an axis. */
#include "internal.h"

static qn_status concat_infer(qni_infer *call) {
    const qn_axis_attrs *attrs = call->attrs;
    call->dtype[0] = call->in[0]->view.dtype;
    call->shape[0] = qni_shape_of(&call->in[0]->view);
    for (int i = 1; i < call->n_in; i++) {
        const qn_view *part = &call->in[i]->view;
        qn_status status = qni_expect_same_dtype(call, i, 0);
        if (status == QN_OK)
            status = qni_expect_rank(call, i, call->shape[0].rank);
        if (status != QN_OK)
            return status;
        for (int axis = 0; axis < part->rank; axis++)
            if (axis == attrs->axis)
                call->shape[0].dim[axis] += part->shape[axis];
            else if (part->shape[axis] != call->shape[0].dim[axis])
                return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                                       "concat: extents differ on axis %d: %s x %s", axis,
                                       qni_text(call->in[0]).s, qni_text(call->in[i]).s);
    }
    return QN_OK;
}

/* Each part's gradient is its range of g. */
static void concat_backward(qni_backward *b) {
    const qn_axis_attrs *attrs = b->attrs;
    int64_t start = 0;
    for (int i = 0; i < b->n_in; i++) {
        int64_t end = start + b->in[i]->view.shape[attrs->axis];
        if (b->needs[i])
            qni_give(b, i, qn_slice(b->grad[0], attrs->axis, start, end));
        start = end;
    }
}

const qni_op qni_op_concat = {
    .name = "concat",
    .in = "part",
    .out = "y",
    .inputs = QN_MAX_INPUTS,
    .outputs = 1,
    .unread = ~0u,
    .unread_outputs = 1,
    .attrs_size = sizeof(qn_axis_attrs),
    .fields = qni_axis_fields,
    .infer = concat_infer,
    .backward = concat_backward,
    .cost = {.of = QNI_PER_OUTPUT},
};

/** Joins any number of parts: groups of them first, where there are more than one call takes. */
static qn_tensor *join(qn_tensor *const *parts, int count, const qn_axis_attrs *attrs) {
    if (count <= QN_MAX_INPUTS)
        return qni_apply(&qni_op_concat, parts, count, attrs);
    qn_tensor *groups[QN_MAX_INPUTS];
    for (int i = 0, first = 0; i < QN_MAX_INPUTS; i++) {
        int size = (count - first) / (QN_MAX_INPUTS - i);
        groups[i] = join(parts + first, size, attrs);
        first += size;
    }
    return qni_apply(&qni_op_concat, groups, QN_MAX_INPUTS, attrs);
}

qn_tensor *qn_concat(qn_tensor *const *parts, int count, int axis) {
    if (!parts || count < 1 || !parts[0])
        return NULL;
    qn_axis_attrs attrs = {.axis = qni_axis("concat", parts[0], axis)};
    return attrs.axis < 0 ? NULL : join(parts, count, &attrs);
}
