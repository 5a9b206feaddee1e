/* unfold.c: windows along an axis as a view, and fold, which adds them up again. */
#include "internal.h"

static void unfold_backward(qni_backward *b) {
    qni_give(b, 0, qni_apply_to(&qni_op_fold, &b->grad[0], 1, b->attrs, qni_target(b, 0)));
}

const qni_op qni_op_unfold = {
    .name = "unfold",
    .in = "x",
    .out = "windows",
    .inputs = 1,
    .outputs = 1,
    .view = true,
    .attrs_size = sizeof(qn_fold_attrs),
    .fields = qni_fold_fields,
    .backward = unfold_backward,
};

qn_tensor *qn_unfold(qn_tensor *x, int axis, int64_t size, int64_t step) {
    int at = x ? qni_axis("unfold", x, axis) : -1;
    if (at < 0)
        return NULL;
    int64_t extent = x->view.shape[at];
    if (size < 1 || size > extent || step < 1 || x->view.rank == QN_MAX_DIMS) {
        qn_context_fail(
            x->ctx, QN_INVALID_ARGUMENT,
            "unfold: no windows of %lld, one every %lld, on axis %d (at most %d axes): %s",
            (long long)size, (long long)step, axis, QN_MAX_DIMS, qni_text(x).s);
        return NULL;
    }
    qn_fold_attrs attrs = {0}; /* field by field: the gap between them stays zero */
    attrs.axis = at;
    attrs.extent = extent;
    attrs.step = step < extent ? step : extent; /* beyond it there is one window */
    qn_view view = x->view;
    view.shape[view.rank] = size;
    view.stride[view.rank++] = x->view.stride[at];
    view.shape[at] = (extent - size) / attrs.step + 1;
    view.stride[at] = attrs.step * x->view.stride[at];
    return qni_apply_view(&qni_op_unfold, x, &attrs, &view);
}

/* fold: g [..., count, ..., size] -> [..., extent, ...], what lies at one place in several windows
 * added up. */

static qn_status fold_infer(qni_infer *call) {
    const qn_fold_attrs *attrs = call->attrs;
    qn_shape shape = qni_shape_of(&call->in[0]->view);
    int64_t size = shape.dim[--shape.rank];
    shape.dim[shape.rank] = 0;
    if (shape.dim[attrs->axis] != (attrs->extent - size) / attrs->step + 1)
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "fold: these are not the windows of an axis of %lld: %s",
                               (long long)attrs->extent, qni_text(call->in[0]).s);
    shape.dim[attrs->axis] = attrs->extent;
    call->dtype[0] = call->in[0]->view.dtype;
    call->shape[0] = shape;
    return qni_expect_float(call, 0);
}

static void fold_backward(qni_backward *b) {
    const qn_fold_attrs *attrs = b->attrs;
    int64_t size = b->in[0]->view.shape[b->in[0]->view.rank - 1];
    qni_give(b, 0, qn_unfold(b->grad[0], attrs->axis, size, attrs->step));
}

const qni_op qni_op_fold = {
    .name = "fold",
    .in = "windows",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_fold_attrs),
    .fields = qni_fold_fields,
    .infer = fold_infer,
    .backward = fold_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};
