/* uniform.c: random numbers, every one in [low, high) equally likely. */
#include "internal.h"

/* The input is the random state. It says nothing of the output's shape, so there is no shape rule:
 * the operation always writes into a tensor that is there. */
const qni_op qni_op_uniform = {
    .name = "uniform",
    .in = "state",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .mutates = 1u << 0,
    .attrs_size = sizeof(qn_range_attrs),
    .fields = qni_range_fields,
    .constant = true,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_status qn_fill_uniform(qn_tensor *x, double low, double high) {
    qn_range_attrs attrs = {.low = low, .high = high};
    return qni_fill_random(&qni_op_uniform, x, &attrs);
}

qn_tensor *qn_uniform(qn_context *ctx, qn_dtype dtype, qn_shape shape, double low, double high) {
    qn_range_attrs attrs = {.low = low, .high = high};
    return qni_new_random(&qni_op_uniform, ctx, dtype, shape, &attrs);
}
