/* fill.c: every element set to one value. */
#include "internal.h"

/* Has no inputs, so nothing to infer from: it always writes into a tensor that is there. */
const qni_op qni_op_fill = {
    .name = "fill",
    .out = "y",
    .outputs = 1,
    .attrs_size = sizeof(qn_scalar_attrs),
    .fields = qni_scalar_fields,
    .constant = true,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_status qn_fill(qn_tensor *x, double value) {
    if (!x)
        return QN_INVALID_ARGUMENT;
    qn_scalar_attrs attrs = {.value = value};
    return qni_apply_to(&qni_op_fill, NULL, 0, &attrs, x) ? QN_OK : x->ctx->status;
}

qn_tensor *qn_full(qn_context *ctx, qn_dtype dtype, qn_shape shape, double value) {
    qn_tensor *x = qni_tensor_new(ctx, dtype, shape);
    if (!x || qn_fill(x, value) == QN_OK)
        return x;
    qni_tensor_destroy(x);
    return NULL;
}

qn_tensor *qn_zeros(qn_context *ctx, qn_dtype dtype, qn_shape shape) {
    return qn_full(ctx, dtype, shape, 0);
}

qn_tensor *qn_ones(qn_context *ctx, qn_dtype dtype, qn_shape shape) {
    return qn_full(ctx, dtype, shape, 1);
}
