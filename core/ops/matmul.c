/* matmul.c: matrix product of matrices and of batches of them. */
#include "internal.h"

/** Error unless both sides are matrices (or batches) whose inner sizes agree. */
static qn_status check_matrices(qn_context *ctx, const qn_tensor *a, const qn_tensor *b) {
    const qn_view *left = &a->view, *right = &b->view;
    if (left->rank < 2 || right->rank < 2)
        return qn_context_fail(ctx, QN_SHAPE_MISMATCH,
                               "matmul: both sides need at least 2 axes (qn_unsqueeze() makes a "
                               "vector a matrix): %s x %s",
                               qni_text(a).s, qni_text(b).s);
    if (left->shape[left->rank - 1] != right->shape[right->rank - 2])
        return qn_context_fail(ctx, QN_SHAPE_MISMATCH, "matmul: inner sizes differ: %s x %s",
                               qni_text(a).s, qni_text(b).s);
    return QN_OK;
}

/** The leading axes of a shape, the last two left out. */
static qn_shape leading(const qn_tensor *x) {
    qn_shape shape = qni_shape_of(&x->view);
    shape.rank -= 2;
    return shape;
}

static qn_status matmul_infer(qni_infer *call) {
    const qn_tensor *a = call->in[0], *b = call->in[1];
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_same_dtype(call, 1, 0);
    if (status == QN_OK)
        status = check_matrices(call->ctx, a, b);
    if (status != QN_OK)
        return status;
    int rank = a->view.rank;
    qn_view left = qni_view_of(QN_F32, leading(a)), right = qni_view_of(QN_F32, leading(b));
    if (!qn_view_same_shape(&left, &right))
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH, "matmul: leading axes differ: %s x %s",
                               qni_text(a).s, qni_text(b).s);
    call->dtype[0] = a->view.dtype;
    call->shape[0] = qni_shape_of(&a->view);
    call->shape[0].dim[rank - 1] = b->view.shape[rank - 1];
    return qni_expect_like(call, 2, 0, QN_SHAPE(b->view.shape[rank - 1]));
}

/* da = g b^T, db = a^T g; the bias was added to every row. */
static void matmul_backward(qni_backward *b) {
    qn_tensor *g = b->grad[0];
    static const qn_matmul_attrs plain = {0};
    if (b->needs[0]) {
        qn_tensor *in[3] = {g, qn_transpose(b->in[1], -1, -2), NULL};
        qni_give(b, 0, qni_apply_to(&qni_op_matmul, in, 3, &plain, qni_target(b, 0)));
    }
    if (b->needs[1]) {
        qn_tensor *in[3] = {qn_transpose(b->in[0], -1, -2), g, NULL};
        qni_give(b, 1, qni_apply_to(&qni_op_matmul, in, 3, &plain, qni_target(b, 1)));
    }
    if (b->needs[2])
        qni_give(b, 2, qni_sum_to(g, qni_shape_of(&b->in[2]->view), qni_target(b, 2)));
}

static int32_t *matmul_relu(void *attrs) { return &((qn_matmul_attrs *)attrs)->relu; }

double qni_matmul_operations(const qn_view *in, const qn_view *out) {
    return 2 * qni_count(out) * qni_extent(&in[0], 0);
}

const qni_op qni_op_matmul = {
    .name = "matmul",
    .in = "a b bias",
    .out = "y",
    .inputs = 3,
    .outputs = 1,
    .unread = 1u << 2,
    .unread_outputs = 1,
    .optional = 1u << 2,
    .attrs_size = sizeof(qn_matmul_attrs),
    .fields = qni_matmul_fields,
    .relu = matmul_relu,
    .infer = matmul_infer,
    .backward = matmul_backward,
    .cost = {.of = QNI_FORMULA, .formula = qni_matmul_operations},
};

static qn_tensor *product(qn_tensor *a, qn_tensor *b) {
    qn_matmul_attrs attrs = {0};
    qn_tensor *in[3] = {a, b, NULL};
    return qni_apply(&qni_op_matmul, in, 3, &attrs);
}

/** x with its leading axes broadcast to `lead`, the last two as they are. */
static qn_tensor *expand_leading(qn_tensor *x, qn_shape lead) {
    qn_shape shape = lead;
    for (int i = 2; i > 0; i--)
        shape.dim[shape.rank++] = x->view.shape[x->view.rank - i];
    return qn_expand(x, shape);
}

/** One product of many rows instead of a product for each matrix of a. */
static qn_tensor *product_of_rows(qn_tensor *a, qn_tensor *b) {
    qn_shape shape = qni_shape_of(&a->view);
    int last = shape.rank - 1;
    int64_t rows = 1;
    for (int axis = 0; axis < last; axis++)
        rows *= shape.dim[axis];
    qn_tensor *y = product(qn_reshape(a, QN_SHAPE(rows, shape.dim[last])), b);
    shape.dim[last] = b->view.shape[1];
    return qn_reshape(y, shape);
}

qn_tensor *qn_matmul(qn_tensor *a, qn_tensor *b) {
    if (!qni_given("matmul", (qn_tensor *[]){a, b}, 2) || check_matrices(a->ctx, a, b) != QN_OK)
        return NULL;
    if (a->view.rank == 2 && b->view.rank == 2)
        return product(a, b);
    if (b->view.rank == 2 && qn_view_is_contiguous(&a->view))
        return product_of_rows(a, b);
    qn_shape lead;
    if (!qni_broadcast(leading(a), leading(b), &lead)) {
        qn_context_fail(a->ctx, QN_SHAPE_MISMATCH,
                        "matmul: leading axes cannot be broadcast: %s x %s", qni_text(a).s,
                        qni_text(b).s);
        return NULL;
    }
    return product(expand_leading(a, lead), expand_leading(b, lead));
}
