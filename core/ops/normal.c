/* normal.c: random numbers of a mean and a standard deviation, normally distributed. */
#include "internal.h"

/* The input is the random state. It says nothing of the output's shape, so there is no shape rule:
 * the operation always writes into a tensor that is there. */
const qni_op qni_op_normal = {
    .name = "normal",
    .inputs = 1,
    .outputs = 1,
    .mutates = 1u << 0,
    .attrs_size = sizeof(qn_range_attrs),
    .constant = true,
};

qn_status qn_fill_normal(qn_tensor *x, double mean, double std) {
    if (!x)
        return QN_INVALID_ARGUMENT;
    if (!qni_is_float(x->view.dtype))
        return qn_context_fail(x->ctx, QN_DTYPE_MISMATCH, "normal: expects f32 or f64, got %s",
                               qn_dtype_string(x->view.dtype));
    qn_range_attrs attrs = {.low = mean, .high = std};
    qn_tensor *state = qni_random(x->ctx);
    return qni_apply_to(&qni_op_normal, &state, 1, &attrs, x) ? QN_OK : x->ctx->status;
}

qn_tensor *qn_normal(qn_context *ctx, qn_dtype dtype, qn_shape shape, double mean, double std) {
    qn_tensor *x = qni_tensor_new(ctx, dtype, shape);
    if (!x || qn_fill_normal(x, mean, std) == QN_OK)
        return x;
    qni_tensor_destroy(x);
    return NULL;
}
