/* sparse.c: the gradient of a large table of which a step uses few rows.
 *
 * The gradient is as large as the table, but only the rows marked in `seen` hold anything; the
 * others mean zero, whatever is in them. Embeddings write and mark rows (qni_embedding_backward()),
 * steps of optimizers visit the marked ones. Forgetting the gradient costs nothing: the marks go
 * when the next one begins. */
#include "internal.h"

qn_tensor *qn_require_sparse_grad(qn_tensor *x) {
    if (!x || qni_check_elements("require_sparse_grad", x) != QN_OK)
        return NULL;
    if (x->seen)
        return x;
    if (x->view.rank != 2) {
        qn_context_fail(x->ctx, QN_SHAPE_MISMATCH,
                        "require_sparse_grad: expects a table [rows, width], got %s",
                        qni_text(x).s);
        return NULL;
    }
    if (x->grad) {
        qn_context_fail(
            x->ctx, QN_INVALID_ARGUMENT,
            "require_sparse_grad: ask before the first gradient, and before an optimizer "
            "is made: %s",
            qni_text(x).s);
        return NULL;
    }
    if (!qn_require_grad(x))
        return NULL;
    qn_tensor *seen = qn_keep(qn_zeros(x->ctx, QN_U8, QN_SHAPE(x->view.shape[0], 1)));
    if (!seen)
        return NULL;
    seen->leaf_of = x;
    x->seen = seen;
    return x;
}

bool qn_requires_sparse_grad(const qn_tensor *x) { return x && x->seen; }

qn_tensor *qn_sparse_grad(qn_tensor *x, qn_tensor **seen) {
    bool there = x && qni_alive("sparse_grad", x) && x->seen && x->grad_set;
    if (seen)
        *seen = there ? x->seen : NULL;
    else if (x)
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "sparse_grad: seen is NULL");
    there = there && seen;
    return there ? x->grad : NULL;
}

qn_tensor *qni_sparse_begin(qn_tensor *leaf) {
    qn_tensor *grad = qni_leaf_grad(leaf);
    if (!grad || leaf->grad_set)
        return grad;
    if (qn_fill(leaf->seen, 0) != QN_OK)
        return NULL;
    leaf->grad_set = true;
    return grad;
}

bool qni_sparse_settle(qn_tensor *leaf) {
    qn_tensor *zero = qn_zeros(leaf->ctx, leaf->view.dtype, QN_SCALAR);
    if (!zero)
        return false;
    qn_tensor *in[] = {leaf->seen, leaf->grad,
                       zero}; /* not a product: what lies there may be NaN */
    bool done = qni_apply_to(&qni_op_where, in, 3, NULL, leaf->grad) != NULL;
    qni_tensor_destroy(zero);
    return done;
}

bool qni_sparse_cover(qn_tensor *leaf) {
    if (leaf->grad_set && !qni_sparse_settle(leaf))
        return false;
    return qn_fill(leaf->seen, 1) == QN_OK;
}
