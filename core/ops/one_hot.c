/* one_hot.c: class indices as rows of zeros with a one. */
#include "internal.h"

static qn_status one_hot_infer(qni_infer *call) {
    const qn_one_hot_attrs *attrs = call->attrs;
    qn_status status = qni_expect_dtype(call, 0, QN_I64);
    if (status != QN_OK)
        return status;
    qn_shape shape = qni_shape_of(&call->in[0]->view);
    if (shape.rank == QN_MAX_DIMS || attrs->classes < 1)
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "one_hot: no room for an axis of %lld classes: %s",
                               (long long)attrs->classes, qni_text(call->in[0]).s);
    shape.dim[shape.rank++] = attrs->classes;
    call->dtype[0] = QN_F32;
    call->shape[0] = shape;
    return QN_OK;
}

const qni_op qni_op_one_hot = {
    .name = "one_hot",
    .in = "index",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_one_hot_attrs),
    .fields = qni_one_hot_fields,
    .infer = one_hot_infer,
    .constant = true,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_tensor *qn_one_hot(qn_tensor *index, int64_t classes) {
    qn_one_hot_attrs attrs = {.classes = classes};
    return qni_unary(&qni_op_one_hot, index, &attrs);
}
