/* reduce.c: what the reductions share above their kernels, which keep the reduced axes. */
#include "internal.h"

/** A shape without the axes in `axes`. */
static qn_shape without(qn_shape shape, uint32_t axes) {
    qn_shape rest = {0};
    for (int axis = 0; axis < shape.rank; axis++)
        if (!(axes >> axis & 1))
            rest.dim[rest.rank++] = shape.dim[axis];
    return rest;
}

qn_tensor *qni_reduce(const qni_op *op, qn_tensor *x, qn_axes axes, int correction, bool keepdim) {
    qn_reduce_attrs attrs = {.correction = correction};
    if (!x || !qni_axes(op->name, x, axes, &attrs.axes))
        return NULL;
    qn_tensor *y = qni_unary(op, x, &attrs);
    return keepdim ? y : qn_reshape(y, without(qni_shape_of(&x->view), attrs.axes));
}

qn_tensor *qni_sum_to(qn_tensor *x, qn_shape shape, qn_tensor *target) {
    if (!x)
        return NULL;
    int added = x->view.rank - shape.rank;
    qn_shape kept = qni_shape_of(&x->view);
    qn_reduce_attrs attrs = {0};
    for (int axis = 0; axis < kept.rank; axis++)
        if (axis < added || shape.dim[axis - added] != kept.dim[axis]) {
            kept.dim[axis] = 1;
            attrs.axes |= UINT32_C(1) << axis;
        }
    if (!attrs.axes)
        return qn_reshape(x, shape);
    if (!target)
        return qn_reshape(qni_unary(&qni_op_sum, x, &attrs), shape);
    qn_view view = qni_view_of(target->view.dtype, kept);
    view.data = target->view.data;
    qn_tensor *window = qni_tensor_view(target, &view);
    if (window)
        qni_trace_view(window->ctx, &qni_op_reshape, target, NULL, window);
    return window && qni_apply_to(&qni_op_sum, &x, 1, &attrs, window) ? target : NULL;
}
