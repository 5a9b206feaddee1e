/* infer.c: the shape rules that many operations share, and the checks that rules are made of.
 *
 * A rule looks at dtypes and shapes only, fills those of the outputs, and
 * words what does not fit. */
#include "internal.h"

bool qni_broadcast(qn_shape a, qn_shape b, qn_shape *out) {
    qn_shape result = {.rank = a.rank > b.rank ? a.rank : b.rank};
    for (int axis = 0; axis < result.rank; axis++) {
        int in_a = axis - (result.rank - a.rank), in_b = axis - (result.rank - b.rank);
        int64_t extent_a = in_a < 0 ? 1 : a.dim[in_a];
        int64_t extent_b = in_b < 0 ? 1 : b.dim[in_b];
        if (extent_a != extent_b && extent_a != 1 && extent_b != 1)
            return false;
        result.dim[axis] = extent_a == 1 ? extent_b : extent_a;
    }
    *out = result;
    return true;
}

qn_status qni_expect_float(qni_infer *call, int i) {
    qn_dtype dtype = call->in[i]->view.dtype;
    if (qni_is_float(dtype))
        return QN_OK;
    return qn_context_fail(call->ctx, QN_DTYPE_MISMATCH,
                           "%s: expects f32, f64, bf16 or f16, got %s", call->op->name,
                           qn_dtype_string(dtype));
}

qn_status qni_expect_same_dtype(qni_infer *call, int i, int j) {
    qn_dtype a = call->in[i]->view.dtype, b = call->in[j]->view.dtype;
    if (a == b)
        return QN_OK;
    return qn_context_fail(call->ctx, QN_DTYPE_MISMATCH, "%s: dtypes differ: %s x %s",
                           call->op->name, qn_dtype_string(b), qn_dtype_string(a));
}

qn_status qni_expect_dtype(qni_infer *call, int i, qn_dtype dtype) {
    if (call->in[i]->view.dtype == dtype)
        return QN_OK;
    return qn_context_fail(call->ctx, QN_DTYPE_MISMATCH, "%s: input %d must be %s, got %s",
                           call->op->name, i, qn_dtype_string(dtype),
                           qn_dtype_string(call->in[i]->view.dtype));
}

qn_status qni_expect_rank(qni_infer *call, int i, int rank) {
    if (call->in[i]->view.rank == rank)
        return QN_OK;
    return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH, "%s: input %d must have %d axes: %s",
                           call->op->name, i, rank, qni_text(call->in[i]).s);
}

qn_status qni_expect_shape(qni_infer *call, int i, qn_shape shape) {
    qn_view wanted = qni_view_of(call->in[i]->view.dtype, shape);
    if (qn_view_same_shape(&call->in[i]->view, &wanted))
        return QN_OK;
    return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH, "%s: input %d must be %s, is %s",
                           call->op->name, i, qn_shape_text(shape).s, qni_text(call->in[i]).s);
}

qn_status qni_expect_like(qni_infer *call, int i, int j, qn_shape shape) {
    if (!call->in[i])
        return QN_OK;
    const qn_status status = qni_expect_same_dtype(call, i, j);
    return status != QN_OK ? status : qni_expect_shape(call, i, shape);
}

/* Output 0 is like input `i`. */
static qn_status like(qni_infer *call, int i) {
    call->dtype[0] = call->in[i]->view.dtype;
    call->shape[0] = qni_shape_of(&call->in[i]->view);
    return QN_OK;
}

/* Output 0 has the shape to which inputs i and j are broadcast. */
static qn_status broadcast(qni_infer *call, int i, int j, qn_dtype dtype) {
    call->dtype[0] = dtype;
    if (qni_broadcast(qni_shape_of(&call->in[i]->view), qni_shape_of(&call->in[j]->view),
                      &call->shape[0]))
        return QN_OK;
    return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH, "%s: shapes do not broadcast: %s x %s",
                           call->op->name, qni_text(call->in[i]).s, qni_text(call->in[j]).s);
}

qn_status qni_infer_unary(qni_infer *call) {
    qn_status status = qni_expect_float(call, 0);
    return status != QN_OK ? status : like(call, 0);
}

qn_status qni_infer_binary(qni_infer *call) {
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_same_dtype(call, 1, 0);
    return status != QN_OK ? status : broadcast(call, 0, 1, call->in[0]->view.dtype);
}

qn_status qni_expect_one_shape(const char *op, const char *a_name, const qn_tensor *a,
                               const char *b_name, const qn_tensor *b) {
    if (qn_view_same_shape(&a->view, &b->view))
        return QN_OK;
    return qn_context_fail(a->ctx, QN_SHAPE_MISMATCH,
                           "%s: %s %s and %s %s must have one shape; if one is meant for many, "
                           "qn_reshape() and qn_expand() say so",
                           op, a_name, qni_text(a).s, b_name, qni_text(b).s);
}

qn_status qni_infer_loss(qni_infer *call) {
    const qn_tensor *prediction = call->in[0], *target = call->in[1];
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_same_dtype(call, 1, 0);
    if (status == QN_OK)
        status = qni_expect_one_shape(call->op->name, "prediction", prediction, "target", target);
    return status != QN_OK ? status : like(call, 0);
}

qn_status qni_infer_compare(qni_infer *call) {
    qn_status status = qni_expect_same_dtype(call, 1, 0);
    return status != QN_OK ? status : broadcast(call, 0, 1, QN_U8);
}

qn_status qni_infer_reduce(qni_infer *call) {
    const qn_reduce_attrs *attrs = call->attrs;
    qn_status status = qni_infer_unary(call);
    for (int axis = 0; axis < call->shape[0].rank; axis++)
        if (attrs->axes >> axis & 1)
            call->shape[0].dim[axis] = 1;
    return status;
}

qn_status qni_infer_extreme(qni_infer *call) {
    const qn_view *x = &call->in[0]->view;
    const qn_reduce_attrs *attrs = call->attrs;
    for (int axis = 0; axis < x->rank; axis++)
        if (attrs->axes >> axis & 1 && x->shape[axis] == 0)
            return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH, "%s: axis %d has no elements: %s",
                                   call->op->name, axis, qni_text(call->in[0]).s);
    return qni_infer_reduce(call);
}

qn_status qni_infer_grad(qni_infer *call) {
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_same_dtype(call, 1, 0);
    if (status == QN_OK)
        status = qni_expect_shape(call, 0, qni_shape_of(&call->in[1]->view));
    return status != QN_OK ? status : like(call, 1);
}

qn_status qni_infer_axis(qni_infer *call) {
    const qn_axis_attrs *attrs = call->attrs;
    if (attrs->axis < 0 || attrs->axis >= call->in[0]->view.rank)
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH, "%s: no axis %d: %s", call->op->name,
                               (int)attrs->axis, qni_text(call->in[0]).s);
    return qni_infer_unary(call);
}
