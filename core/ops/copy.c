/* copy.c: the same elements in another layout, or another tensor. */
#include "internal.h"

static qn_status copy_infer(qni_infer *call) {
    call->dtype[0] = call->in[0]->view.dtype;
    call->shape[0] = qni_shape_of(&call->in[0]->view);
    return QN_OK;
}

static void copy_backward(qni_backward *b) { qni_give(b, 0, b->grad[0]); }

const qni_op qni_op_copy = {
    .name = "copy",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .unread_outputs = 1,
    .elementwise = true,
    .infer = copy_infer,
    .backward = copy_backward,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_tensor *qn_contiguous(qn_tensor *x) {
    if (!x || qn_tensor_is_contiguous(x))
        return x;
    return qni_unary(&qni_op_copy, x, NULL);
}

/** x with the dtype and shape of `like`, off the tape; NULL and an error
 * when it cannot have them. */
static qn_tensor *conform(qn_tensor *x, const qn_tensor *like) {
    qn_shape shape = qni_shape_of(&like->view), both;
    if (!qni_broadcast(qni_shape_of(&x->view), shape, &both) || !qn_shape_equal(both, shape)) {
        qn_context_fail(x->ctx, QN_SHAPE_MISMATCH, "copy: cannot be broadcast: %s x %s",
                        qni_text(x).s, qni_text(like).s);
        return NULL;
    }
    qn_tensor *converted = qn_cast(qn_detach(x), like->view.dtype);
    return qn_expand(converted, shape);
}

/** Address behind the last element of a view that is not empty. */
static uintptr_t end_of(const qn_view *view) {
    int64_t last = 0;
    for (int axis = 0; axis < view->rank; axis++)
        last += (view->shape[axis] - 1) * view->stride[axis];
    return (uintptr_t)view->data + (size_t)(last + 1) * qn_dtype_size(view->dtype);
}

/** Whether two views that are not empty may share elements. */
static bool overlaps(const qn_view *a, const qn_view *b) {
    return (uintptr_t)a->data < end_of(b) && (uintptr_t)b->data < end_of(a);
}

qn_status qn_copy(qn_tensor *dst, qn_tensor *src) {
    if (!qni_given("copy", (qn_tensor *[]){dst, src}, 2))
        return QN_INVALID_ARGUMENT;
    bool alike = src->view.dtype == dst->view.dtype && qn_view_same_shape(&src->view, &dst->view);
    qn_tensor *x = alike ? src : conform(src, dst);
    /* Kernels read and write in any order: what would be overwritten before it is read is copied
     * first, off the tape. */
    if (x && qn_tensor_count(dst) > 0 && x->storage == dst->storage &&
        overlaps(&x->view, &dst->view))
        x = qni_unary(&qni_op_copy, qn_detach(x), NULL);
    return x && qni_apply_to(&qni_op_copy, &x, 1, NULL, dst) ? QN_OK : dst->ctx->status;
}
