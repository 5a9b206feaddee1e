/* sequence_lengths.c: how long the samples of a padded batch are. */
#include "internal.h"

static qn_status sequence_lengths_infer(qni_infer *call) {
    qn_status status = qni_expect_dtype(call, 0, QN_I64);
    if (status == QN_OK)
        status = qni_expect_rank(call, 0, 2);
    call->dtype[0] = QN_I64;
    call->shape[0] = QN_SHAPE(call->in[0]->view.shape[0]);
    return status;
}

const qni_op qni_op_sequence_lengths = {
    .name = "sequence_lengths",
    .in = "index",
    .out = "lengths",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_sequence_lengths_attrs),
    .fields = qni_sequence_lengths_fields,
    .infer = sequence_lengths_infer,
    .constant = true,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_tensor *qn_sequence_lengths(qn_tensor *index, int64_t padding) {
    const qn_sequence_lengths_attrs attrs = {.padding = padding};
    return qni_unary(&qni_op_sequence_lengths, index, &attrs);
}
