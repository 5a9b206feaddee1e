/* sequence_mean.c: the mean over time, each sample over its own length. */
#include "internal.h"

extern const qni_op qni_op_sequence_mean_grad;

static qn_status sequence_mean_infer(qni_infer *call) {
    const qn_view *x = &call->in[0]->view;
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 0, 3);
    if (status == QN_OK)
        status = qni_expect_lengths(call, 1);
    call->dtype[0] = x->dtype;
    call->shape[0] = QN_SHAPE(x->shape[0], x->shape[2]);
    return status;
}

static void sequence_mean_backward(qni_backward *b) {
    qn_sequence_attrs attrs = {.steps = b->in[0]->view.shape[1]};
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_sequence_mean_grad, b->grad[0], b->in[1], &attrs));
}

const qni_op qni_op_sequence_mean = {
    .name = "sequence_mean",
    .inputs = 2,
    .outputs = 1,
    .optional = 1u << 1,
    .infer = sequence_mean_infer,
    .backward = sequence_mean_backward,
};

qn_tensor *qn_sequence_mean(qn_tensor *x, qn_tensor *lengths) {
    return qni_binary(&qni_op_sequence_mean, x, lengths, NULL);
}

static qn_status sequence_mean_grad_infer(qni_infer *call) {
    const qn_view *g = &call->in[0]->view;
    const qn_sequence_attrs *attrs = call->attrs;
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 0, 2);
    if (status == QN_OK)
        status = qni_expect_lengths(call, 1);
    call->dtype[0] = g->dtype;
    call->shape[0] = QN_SHAPE(g->shape[0], attrs->steps, g->shape[1]);
    return status;
}

/* Linear in g; its transpose is the mean itself. */
static void sequence_mean_grad_backward(qni_backward *b) {
    if (b->needs[0])
        qni_give(b, 0, qn_sequence_mean(b->grad[0], b->in[1]));
}

const qni_op qni_op_sequence_mean_grad = {
    .name = "sequence_mean_grad",
    .inputs = 2,
    .outputs = 1,
    .optional = 1u << 1,
    .attrs_size = sizeof(qn_sequence_attrs),
    .infer = sequence_mean_grad_infer,
    .backward = sequence_mean_grad_backward,
};
