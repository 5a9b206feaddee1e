/* sequence.c: what operations on sequences of varying length share. */
#include "internal.h"

qn_status qni_expect_lengths(qni_infer *call, int i) {
    if (!call->in[i])
        return QN_OK;
    qn_status status = qni_expect_dtype(call, i, QN_I64);
    return status != QN_OK ? status
                           : qni_expect_shape(call, i, QN_SHAPE(call->in[0]->view.shape[0]));
}

qn_status qni_infer_over_time(qni_infer *call) {
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

qn_status qni_infer_over_time_grad(qni_infer *call) {
    const qn_view *g = &call->in[0]->view;
    const qn_sequence_attrs *attrs = call->attrs;
    const qn_status status = qni_expect_float(call, 0);
    call->dtype[0] = g->dtype;
    call->shape[0] = QN_SHAPE(g->shape[0], attrs->steps, g->shape[1]);
    return status != QN_OK ? status : qni_expect_rank(call, 0, 2);
}

void qni_over_time_backward(qni_backward *b, const qni_op *op, qn_tensor *saved) {
    const qn_sequence_attrs attrs = {.steps = b->in[0]->view.shape[1]};
    if (b->needs[0])
        qni_give(b, 0, qni_binary(op, b->grad[0], saved, &attrs));
}
