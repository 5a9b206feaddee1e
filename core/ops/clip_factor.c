/* clip_factor.c: the factor that clips a gradient by its norm, left in
 * device memory for the step. */
#include "internal.h"

static qn_status clip_factor_infer(qni_infer *call) {
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_shape(call, 0, QN_SCALAR);
    return status != QN_OK ? status : qni_expect_hyper(call, 1);
}

const qni_op qni_op_clip_factor = {
    .name = "clip_factor",
    .in = "square_sum hyper",
    .inputs = 2,
    .mutates = 1u << 1,
    .attrs_size = sizeof(qn_scalar_attrs),
    .fields = qni_scalar_fields,
    .infer = clip_factor_infer,
    .cost = {.of = QNI_PER_INPUT},
};

qn_status qn_clip_factor(qn_tensor *square_sum, qn_tensor *hyper, double max_norm) {
    if (square_sum && !(max_norm > 0))
        return qn_context_fail(square_sum->ctx, QN_INVALID_ARGUMENT,
                               "clip_factor: the largest norm must be greater than 0, got %g",
                               max_norm);
    qn_scalar_attrs attrs = {.value = max_norm};
    qn_tensor *in[2] = {square_sum, hyper};
    return qni_apply_in_place(&qni_op_clip_factor, in, 2, &attrs);
}
