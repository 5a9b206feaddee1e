/* embedding.c: rows of a table, picked by index. */
#include "internal.h"

static qn_status embedding_infer(qni_infer *call) {
    qn_status status = qni_expect_table(call);
    if (status != QN_OK)
        return status;
    const qn_view *index = &call->in[1]->view;
    if (index->rank == QN_MAX_DIMS)
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "embedding: index has no room for one "
                               "more axis: %s",
                               qni_text(call->in[1]).s);
    call->dtype[0] = call->in[0]->view.dtype;
    call->shape[0] = qni_shape_of(index);
    call->shape[0].dim[call->shape[0].rank++] = call->in[0]->view.shape[1];
    return QN_OK;
}

const qni_op qni_op_embedding = {
    .name = "embedding",
    .in = "table index",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .unread = 1,
    .unread_outputs = 1,
    .attrs_size = sizeof(qn_embedding_attrs),
    .fields = qni_embedding_fields,
    .infer = embedding_infer,
    .backward = qni_embedding_backward,
    .cost = {.of = QNI_PER_OUTPUT, .looked_up = 1u << 0},
};

qn_tensor *qn_embedding(qn_tensor *weight, qn_tensor *index, int64_t padding) {
    qn_embedding_attrs attrs = {.padding = padding, .bag = QN_EMBEDDING_ROWS};
    return qni_binary(&qni_op_embedding, weight, index, &attrs);
}
