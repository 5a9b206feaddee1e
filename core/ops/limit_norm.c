/* limit_norm.c: rows held to a largest Euclidean norm. */
#include "internal.h"

static qn_status limit_norm_infer(qni_infer *call) {
    qn_tensor *x = call->in[0];
    double limit = ((const qn_scalar_attrs *)call->attrs)->value;
    qn_status status = qni_expect_float(call, 0);
    if (status != QN_OK)
        return status;
    if (x->view.rank < 1 || !qn_view_is_contiguous(&x->view))
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "limit_norm: expects contiguous rows [rows, ...]: %s",
                               qni_text(x).s);
    if (!(limit > 0))
        return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                               "limit_norm: the largest norm must be greater than 0, got %g",
                               limit);
    return QN_OK;
}

const qni_op qni_op_limit_norm = {
    .name = "limit_norm",
    .in = "x",
    .inputs = 1,
    .mutates = 1u << 0,
    .attrs_size = sizeof(qn_scalar_attrs),
    .fields = qni_scalar_fields,
    .infer = limit_norm_infer,
    .cost = {.of = QNI_PER_INPUT, .each = 3},
};

qn_status qn_limit_norm(qn_tensor *x, double max_norm) {
    qn_scalar_attrs attrs = {.value = max_norm};
    return qni_apply_in_place(&qni_op_limit_norm, &x, 1, &attrs);
}
