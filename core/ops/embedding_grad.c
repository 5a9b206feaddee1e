/* embedding_grad.c: the gradient of a table that embedding and embedding_bag looked up: whole, or
 * into the rows that were used (sparse.c). */
#include "internal.h"

qn_status qni_expect_table(qni_infer *call) {
    const qn_embedding_attrs *attrs = call->attrs;
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 0, 2);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 1, QN_I64);
    if (status != QN_OK)
        return status;
    int64_t rows = call->in[0]->view.shape[0];
    if (attrs->padding >= -1 && attrs->padding < rows)
        return QN_OK;
    return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                           "%s: padding %lld is neither a row, 0 .. %lld, nor -1 for none",
                           call->op->name, (long long)attrs->padding, (long long)rows - 1);
}

void qni_embedding_backward(qni_backward *b) {
    qn_tensor *table = b->in[0];
    if (!b->needs[0])
        return;
    if (table->seen && !b->functional) {
        qn_tensor *in[] = {b->grad[0], b->in[1], qni_sparse_begin(table), table->seen};
        if (in[2])
            qni_apply_in_place(&qni_op_embedding_grad_rows, in, 4, b->attrs);
        return;
    }
    qn_embedding_attrs attrs = *(const qn_embedding_attrs *)b->attrs;
    attrs.rows = table->view.shape[0];
    qn_tensor *in[] = {b->grad[0], b->in[1]};
    qni_give(b, 0, qni_apply_to(&qni_op_embedding_grad, in, 2, &attrs, qni_target(b, 0)));
}

/** g [index's shape, width], or of bags [n, width] with index [n, length]. */
static qn_status expect_gradient(qni_infer *call) {
    const qn_embedding_attrs *attrs = call->attrs;
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 1, QN_I64);
    if (status != QN_OK)
        return status;
    const qn_view *g = &call->in[0]->view;
    qn_shape shape = qni_shape_of(&call->in[1]->view);
    if (attrs->bag == QN_EMBEDDING_ROWS)
        shape.rank++;
    if (g->rank > 0)
        shape.dim[shape.rank - 1] = g->shape[g->rank - 1];
    return qni_expect_shape(call, 0, shape);
}

static qn_status embedding_grad_infer(qni_infer *call) {
    qn_status status = expect_gradient(call);
    if (status != QN_OK)
        return status;
    const qn_view *g = &call->in[0]->view;
    call->dtype[0] = g->dtype;
    call->shape[0] =
        QN_SHAPE(((const qn_embedding_attrs *)call->attrs)->rows, g->shape[g->rank - 1]);
    return QN_OK;
}

/* Linear in g: each of its rows takes the row of u, the gradient of the result, to which it was
 * added. Those of padding were added nowhere, and take zeros, as bags of one entry do. */
static void embedding_grad_backward(qni_backward *b) {
    const qn_embedding_attrs *attrs = b->attrs;
    qn_tensor *index = b->in[1], *u = b->grad[0];
    qn_bag bag = attrs->bag == QN_EMBEDDING_MEAN ? QN_BAG_MEAN : QN_BAG_SUM;
    if (!b->needs[0])
        return;
    if (attrs->bag == QN_EMBEDDING_ROWS)
        index = qn_reshape(index, QN_SHAPE(qn_tensor_count(index), 1));
    qn_tensor *y = qn_embedding_bag(u, index, attrs->padding, bag);
    qni_give(b, 0, qn_reshape(y, qni_shape_of(&b->in[0]->view)));
}

const qni_op qni_op_embedding_grad = {
    .name = "embedding_grad",
    .in = "g index",
    .out = "dtable",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_embedding_attrs),
    .fields = qni_embedding_fields,
    .infer = embedding_grad_infer,
    .backward = embedding_grad_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

static qn_status embedding_grad_rows_infer(qni_infer *call) {
    const qn_view *table = &call->in[QN_EMBEDDING_GRAD_ROWS_GRAD]->view;
    qn_status status = expect_gradient(call);
    if (status == QN_OK)
        status = qni_expect_same_dtype(call, 2, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 2, 2);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 3, QN_U8);
    return status != QN_OK ? status : qni_expect_shape(call, 3, QN_SHAPE(table->shape[0], 1));
}

static double embedding_grad_rows_operations(const qn_view *in, const qn_view *out) {
    (void)out;
    return qni_count(&in[QN_EMBEDDING_GRAD_ROWS_INDEX]) *
           qni_extent(&in[QN_EMBEDDING_GRAD_ROWS_G], 0);
}

const qni_op qni_op_embedding_grad_rows = {
    .name = "embedding_grad_rows",
    .in = "g index grad seen",
    .inputs = 4,
    .mutates = 1u << 2 | 1u << 3,
    .attrs_size = sizeof(qn_embedding_attrs),
    .fields = qni_embedding_fields,
    .infer = embedding_grad_rows_infer,
    .cost = {.of = QNI_FORMULA,
             .formula = embedding_grad_rows_operations,
             .looked_up = 1u << 2 | 1u << 3},
};
