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
    .inputs = 1,
    .outputs = 1,
    .elementwise = true,
    .infer = copy_infer,
    .backward = copy_backward,
};

qn_tensor *qn_contiguous(qn_tensor *x) {
    if (!x || qn_tensor_is_contiguous(x))
        return x;
    return qni_unary(&qni_op_copy, x, NULL);
}

qn_status qn_copy(qn_tensor *dst, qn_tensor *src) {
    if (!dst || !src)
        return QN_INVALID_ARGUMENT;
    qn_tensor *x = src;
    if (x->view.dtype != dst->view.dtype)
        x = qn_cast(qn_detach(x), dst->view.dtype);
    if (x && !qn_view_same_shape(&x->view, &dst->view))
        x = qn_expand(qn_detach(x), qni_shape_of(&dst->view));
    return x && qni_apply_to(&qni_op_copy, &x, 1, NULL, dst) ? QN_OK : dst->ctx->status;
}
