/* reshape.c: the same elements in another shape, without a copy where strides can say it. */
#include "internal.h"

/* dx = g in x's shape. */
static void reshape_backward(qni_backward *b) {
    qni_give(b, 0, qn_reshape(b->grad[0], qni_shape_of(&b->in[0]->view)));
}

const qni_op qni_op_reshape = {
    .name = "reshape",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .view = true,
    .backward = reshape_backward,
};

/** The product of all extents but those that are -1, the last of which goes to *open (else -1). */
static int64_t known_count(qn_shape shape, int *open) {
    int64_t count = 1;
    *open = -1;
    for (int axis = 0; axis < shape.rank; axis++)
        if (shape.dim[axis] == -1)
            *open = axis;
        else if (shape.dim[axis] < 0 || __builtin_mul_overflow(count, shape.dim[axis], &count))
            return -1;
    return count;
}

/** Fills in an extent of -1; false when the shape does not hold x's elements. */
static bool complete(const qn_view *x, qn_shape *shape) {
    int open;
    int64_t count = qn_view_count(x), known = known_count(*shape, &open);
    if (open >= 0) {
        if (known <= 0 || count % known != 0)
            return false;
        shape->dim[open] = count / known;
    }
    return known_count(*shape, &open) == count && open < 0;
}

/** Whether axes first .. last of x step through memory like one long axis. */
static bool is_one_run(const qn_view *x, int first, int last) {
    for (int axis = first; axis < last; axis++)
        if (x->stride[axis] != x->shape[axis + 1] * x->stride[axis + 1])
            return false;
    return true;
}

/** Gives y, which has a shape, the strides that show x's elements in row-major order; false if
 * there are none. Both shapes are cut into the shortest pieces of equal counts; each piece of x
 * must lie in one run, which y's piece then divides anew. */
static bool restride(const qn_view *x, qn_view *y) {
    int x_first = 0, y_first = 0;
    while (y_first < y->rank) {
        int x_last = x_first, y_last = y_first;
        int64_t x_count = x_last < x->rank ? x->shape[x_last] : 1, y_count = y->shape[y_last];
        while (x_count != y_count)
            if (x_count < y_count)
                x_count *= x->shape[++x_last];
            else
                y_count *= y->shape[++y_last];
        if (!is_one_run(x, x_first, x_last))
            return false;
        int64_t stride = x_last < x->rank ? x->stride[x_last] : 1;
        for (int axis = y_last; axis >= y_first; axis--) {
            y->stride[axis] = stride;
            stride *= y->shape[axis];
        }
        x_first = x_last + 1;
        y_first = y_last + 1;
    }
    return true;
}

/** x's view without axes of extent 1, which have no say in how elements lie. */
static qn_view without_ones(const qn_view *x) {
    qn_view view = *x;
    view.rank = 0;
    for (int axis = 0; axis < x->rank; axis++)
        if (x->shape[axis] != 1) {
            view.shape[view.rank] = x->shape[axis];
            view.stride[view.rank++] = x->stride[axis];
        }
    return view;
}

qn_tensor *qn_reshape(qn_tensor *x, qn_shape shape) {
    if (!x)
        return NULL;
    qn_shape asked = shape;
    if (shape.rank < 0 || shape.rank > QN_MAX_DIMS || !complete(&x->view, &shape)) {
        qn_context_fail(x->ctx, QN_SHAPE_MISMATCH, "reshape: numbers of elements differ: %s x %s",
                        qni_text(x).s, qn_shape_text(asked).s);
        return NULL;
    }
    size_t bytes;
    if (!qni_tensor_bytes(x->ctx, x->view.dtype, shape, &bytes))
        return NULL;
    qn_view view = qni_view_of(x->view.dtype, shape), compact = without_ones(&x->view);
    view.data = x->view.data;
    if (qn_view_count(&view) > 0 && !restride(&compact, &view))
        return qn_reshape(qn_contiguous(x), shape);
    return qni_apply_view(&qni_op_reshape, x, NULL, &view);
}
