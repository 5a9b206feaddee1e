/* normal.c: random numbers of a mean and a standard deviation, normally distributed. */
#include "internal.h"

/* The input is the random state. It says nothing of the output's shape, so there is no shape rule:
 * the operation always writes into a tensor that is there. */
const qni_op qni_op_normal = {
    .name = "normal",
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

qn_status qn_fill_normal(qn_tensor *x, double mean, double std) {
    qn_range_attrs attrs = {.low = mean, .high = std};
    return qni_fill_random(&qni_op_normal, x, &attrs);
}

qn_tensor *qn_normal(qn_context *ctx, qn_dtype dtype, qn_shape shape, double mean, double std) {
    qn_range_attrs attrs = {.low = mean, .high = std};
    return qni_new_random(&qni_op_normal, ctx, dtype, shape, &attrs);
}
