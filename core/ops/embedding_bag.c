/* embedding_bag.c: the mean or sum of the rows of a table that a bag of indices names, in one
 * pass. */
#include "internal.h"

static qn_status embedding_bag_infer(qni_infer *call) {
    qn_status status = qni_expect_table(call);
    if (status == QN_OK)
        status = qni_expect_rank(call, 1, 2);
    if (status != QN_OK)
        return status;
    call->dtype[0] = call->in[0]->view.dtype;
    call->shape[0] = QN_SHAPE(call->in[1]->view.shape[0], call->in[0]->view.shape[1]);
    return QN_OK;
}

static double embedding_bag_operations(const qn_view *in, const qn_view *out) {
    (void)out;
    return qni_count(&in[1]) * qni_extent(&in[0], 0);
}

const qni_op qni_op_embedding_bag = {
    .name = "embedding_bag",
    .in = "table index",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_embedding_attrs),
    .fields = qni_embedding_fields,
    .infer = embedding_bag_infer,
    .backward = qni_embedding_backward,
    .cost = {.of = QNI_FORMULA, .formula = embedding_bag_operations, .looked_up = 1u << 0},
};

qn_tensor *qn_embedding_bag(qn_tensor *weight, qn_tensor *index, int64_t padding, qn_bag bag) {
    qn_embedding_attrs attrs = {.padding = padding};
    attrs.bag = bag == QN_BAG_SUM ? QN_EMBEDDING_SUM : QN_EMBEDDING_MEAN;
    return qni_binary(&qni_op_embedding_bag, weight, index, &attrs);
}
