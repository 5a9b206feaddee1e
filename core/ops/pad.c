/* pad.c: a value around the elements. */
#include "internal.h"

static qn_status pad_infer(qni_infer *call) {
    const qn_pad_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0]->view;
    call->dtype[0] = x->dtype;
    call->shape[0] = qni_shape_of(x);
    for (int axis = 0; axis < x->rank; axis++) {
        int64_t *extent = &call->shape[0].dim[axis];
        if (attrs->before[axis] < 0 || attrs->after[axis] < 0 ||
            __builtin_add_overflow(*extent, attrs->before[axis], extent) ||
            __builtin_add_overflow(*extent, attrs->after[axis], extent))
            return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                                   "pad: cannot add %lld and %lld elements to axis %d: %s",
                                   (long long)attrs->before[axis], (long long)attrs->after[axis],
                                   axis, qni_text(call->in[0]).s);
    }
    return QN_OK;
}

/* dx = the window of g that x went to. */
static void pad_backward(qni_backward *b) {
    const qn_pad_attrs *attrs = b->attrs;
    const qn_view *x = &b->in[0]->view;
    qn_tensor *window = b->grad[0];
    for (int axis = 0; axis < x->rank; axis++)
        if (attrs->before[axis] > 0 || attrs->after[axis] > 0)
            window =
                qn_slice(window, axis, attrs->before[axis], attrs->before[axis] + x->shape[axis]);
    qni_give(b, 0, window);
}

static bool pad_keeps_rows(const void *attrs, const qn_view *in) {
    const qn_pad_attrs *pad = attrs;
    return in[0].rank > 0 && pad->before[0] == 0 && pad->after[0] == 0;
}

const qni_op qni_op_pad = {
    .name = "pad",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .unread_outputs = 1,
    .rows = 1u << 0,
    .keeps_rows = pad_keeps_rows,
    .attrs_size = sizeof(qn_pad_attrs),
    .fields = qni_pad_fields,
    .infer = pad_infer,
    .backward = pad_backward,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_tensor *qn_pad(qn_tensor *x, const int64_t *before, const int64_t *after, double value) {
    if (!x)
        return NULL;
    if (!before || !after) {
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "pad: before or after is NULL");
        return NULL;
    }
    qn_pad_attrs attrs = {.value = value};
    for (int axis = 0; axis < x->view.rank; axis++) {
        attrs.before[axis] = before[axis];
        attrs.after[axis] = after[axis];
    }
    return qni_unary(&qni_op_pad, x, &attrs);
}
