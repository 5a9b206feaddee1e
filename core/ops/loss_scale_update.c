/* loss_scale_update.c: the factor of a scaled loss, taken out of the gradients again, and moved to
 * where they neither overflow nor vanish (Micikevicius et al. 2018). All in device memory, so that
 * nothing waits for it. */
#include "internal.h"

static qn_status loss_scale_update_infer(qni_infer *call) {
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_shape(call, 0, QN_SCALAR);
    if (status == QN_OK)
        status = qni_expect_hyper(call, 1);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 2, QN_F32);
    return status != QN_OK ? status : qni_expect_shape(call, 2, QN_SHAPE(2));
}

const qni_op qni_op_loss_scale_update = {
    .name = "loss_scale_update",
    .in = "square_sum hyper scale",
    .inputs = 3,
    .mutates = 1u << 1 | 1u << 2,
    .attrs_size = sizeof(qn_loss_scale_attrs),
    .fields = qni_loss_scale_fields,
    .infer = loss_scale_update_infer,
    .cost = {.of = QNI_PER_INPUT},
};

qn_status qn_loss_scale_update(qn_tensor *square_sum, qn_tensor *hyper, qn_tensor *scale,
                               double max_norm, int64_t growth_steps) {
    if (square_sum && (!(max_norm >= 0) || growth_steps < 1))
        return qn_context_fail(
            square_sum->ctx, QN_INVALID_ARGUMENT,
            "loss_scale_update: the largest norm must be at least 0 and the steps "
            "of growth at least 1, got %g and %lld",
            max_norm, (long long)growth_steps);
    qn_loss_scale_attrs attrs = {.max_norm = max_norm, .growth_steps = (double)growth_steps};
    qn_tensor *in[3] = {square_sum, hyper, scale};
    return qni_apply_in_place(&qni_op_loss_scale_update, in, 3, &attrs);
}
