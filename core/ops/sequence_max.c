/* sequence_max.c: the maximum over time, each sample over its own length. */
#include "internal.h"

/* y [n, c], and the step of each maximum [n, c]: the number of steps where there is none. */
static qn_status sequence_max_infer(qni_infer *call) {
    const qn_status status = qni_infer_over_time(call);
    call->dtype[1] = QN_I64;
    call->shape[1] = call->shape[0];
    return status;
}

static void sequence_max_backward(qni_backward *b) {
    qni_over_time_backward(b, &qni_op_sequence_max_grad, b->out[1]);
}

const qni_op qni_op_sequence_max = {
    .name = "sequence_max",
    .in = "x lengths",
    .out = "y index",
    .inputs = 2,
    .outputs = 2,
    .optional = 1u << 1,
    .infer = sequence_max_infer,
    .backward = sequence_max_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

qn_tensor *qn_sequence_max(qn_tensor *x, qn_tensor *lengths) {
    return qni_binary(&qni_op_sequence_max, x, lengths, NULL);
}

static qn_status sequence_max_grad_infer(qni_infer *call) {
    qn_status status = qni_infer_over_time_grad(call);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 1, QN_I64);
    return status != QN_OK ? status : qni_expect_shape(call, 1, qni_shape_of(&call->in[0]->view));
}

/* Linear in g: its transpose picks the elements at the maxima. The step that stands for "none" is
 * there in the padded u, and is zero. */
static void sequence_max_grad_backward(qni_backward *b) {
    if (!b->needs[0])
        return;
    qn_tensor *u = qn_pad(b->grad[0], (int64_t[]){0, 0, 0}, (int64_t[]){0, 1, 0}, 0);
    qni_give(b, 0, qn_squeeze(qn_gather(u, 1, qn_unsqueeze(b->in[1], 1)), 1));
}

const qni_op qni_op_sequence_max_grad = {
    .name = "sequence_max_grad",
    .in = "g index",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_sequence_attrs),
    .fields = qni_sequence_fields,
    .infer = sequence_max_grad_infer,
    .backward = sequence_max_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};
