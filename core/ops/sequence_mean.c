/* sequence_mean.c: the mean over time, each sample over its own length. */
#include "internal.h"

static void sequence_mean_backward(qni_backward *b) {
    qni_over_time_backward(b, &qni_op_sequence_mean_grad, b->in[1]);
}

const qni_op qni_op_sequence_mean = {
    .name = "sequence_mean",
    .in = "x lengths",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .optional = 1u << 1,
    .infer = qni_infer_over_time,
    .backward = sequence_mean_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

qn_tensor *qn_sequence_mean(qn_tensor *x, qn_tensor *lengths) {
    return qni_binary(&qni_op_sequence_mean, x, lengths, NULL);
}

static qn_status sequence_mean_grad_infer(qni_infer *call) {
    const qn_status status = qni_infer_over_time_grad(call);
    return status != QN_OK ? status : qni_expect_lengths(call, 1);
}

/* Linear in g; its transpose is the mean itself. */
static void sequence_mean_grad_backward(qni_backward *b) {
    if (b->needs[0])
        qni_give(b, 0, qn_sequence_mean(b->grad[0], b->in[1]));
}

const qni_op qni_op_sequence_mean_grad = {
    .name = "sequence_mean_grad",
    .in = "g lengths",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .rows = 1u << 0 | 1u << 1,
    .optional = 1u << 1,
    .attrs_size = sizeof(qn_sequence_attrs),
    .fields = qni_sequence_fields,
    .infer = sequence_mean_grad_infer,
    .backward = sequence_mean_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};
