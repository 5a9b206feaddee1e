/* slice.c: a range of positions along an axis. */
#include <stddef.h>

#include "internal.h"

typedef struct slice_attrs {
    int64_t axis, start;
} slice_attrs;

static const qni_field slice_fields[] = {
    {.name = "axis", .type = QNI_I64, .offset = offsetof(slice_attrs, axis), .count = 1},
    {.name = "start", .type = QNI_I64, .offset = offsetof(slice_attrs, start), .count = 1},
    {0},
};

/* dx = g inside the range, 0 around it. */
static void slice_backward(qni_backward *b) {
    const slice_attrs *attrs = b->attrs;
    int64_t before[QN_MAX_DIMS] = {0}, after[QN_MAX_DIMS] = {0};
    int64_t end = attrs->start + b->out[0]->view.shape[attrs->axis];
    before[attrs->axis] = attrs->start;
    after[attrs->axis] = b->in[0]->view.shape[attrs->axis] - end;
    qni_give(b, 0, qn_pad(b->grad[0], before, after, 0));
}

const qni_op qni_op_slice = {
    .name = "slice",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .view = true,
    .attrs_size = sizeof(slice_attrs),
    .fields = slice_fields,
    .backward = slice_backward,
};

qn_tensor *qn_slice(qn_tensor *x, int axis, int64_t start, int64_t end) {
    int at = x ? qni_axis("slice", x, axis) : -1;
    if (at < 0)
        return NULL;
    int64_t extent = x->view.shape[at];
    int64_t first = start < 0 ? start + extent : start, last = end < 0 ? end + extent : end;
    if (first < 0 || first > last || last > extent) {
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "slice: no range %lld .. %lld on axis %d: %s",
                        (long long)start, (long long)end, axis, qni_text(x).s);
        return NULL;
    }
    slice_attrs attrs = {.axis = at, .start = first};
    qn_view view = x->view;
    view.shape[at] = last - first;
    if (view.data) /* what has no elements may have no memory */
        view.data =
            (char *)view.data + first * view.stride[at] * (int64_t)qn_dtype_size(view.dtype);
    return qni_apply_view(&qni_op_slice, x, &attrs, &view);
}
