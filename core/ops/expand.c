/* expand.c: axes of extent 1, and new leading ones, repeated by a stride of 0. */
#include "internal.h"

/* dx = the sum of g over the repetitions. */
static void expand_backward(qni_backward *b) {
    qni_give(b, 0, qni_sum_to(b->grad[0], qni_shape_of(&b->in[0]->view), qni_target(b, 0)));
}

const qni_op qni_op_expand = {
    .name = "expand",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .view = true,
    .backward = expand_backward,
};

/** Whether a shape is one that x can be repeated to. */
static bool stretches(const qn_view *x, qn_shape shape) {
    int added = shape.rank - x->rank;
    if (added < 0 || shape.rank > QN_MAX_DIMS)
        return false;
    for (int axis = 0; axis < x->rank; axis++)
        if (x->shape[axis] != shape.dim[axis + added] && x->shape[axis] != 1)
            return false;
    return true;
}

qn_tensor *qn_expand(qn_tensor *x, qn_shape shape) {
    if (!x)
        return NULL;
    if (!stretches(&x->view, shape)) {
        qn_context_fail(x->ctx, QN_SHAPE_MISMATCH, "expand: only axes of extent 1 repeat: %s x %s",
                        qni_text(x).s, qn_shape_text(shape).s);
        return NULL;
    }
    size_t bytes;
    if (!qni_tensor_bytes(x->ctx, x->view.dtype, shape, &bytes))
        return NULL;
    int added = shape.rank - x->view.rank;
    qn_view view = qni_view_of(x->view.dtype, shape);
    view.data = x->view.data;
    for (int axis = 0; axis < shape.rank; axis++) {
        bool repeats = axis < added || x->view.shape[axis - added] != shape.dim[axis];
        view.stride[axis] = repeats ? 0 : x->view.stride[axis - added];
    }
    return qni_apply_view(&qni_op_expand, x, NULL, &view);
}
