/* huber.c: squared error near zero, absolute error beyond delta (Huber 1964). */
#include "internal.h"

/* dp = g clamp(p - t, -delta, delta), dt = -dp. */
static void huber_backward(qni_backward *b) {
    double delta = ((const qn_scalar_attrs *)b->attrs)->value;
    qn_tensor *difference = qn_sub(b->in[0], b->in[1]);
    qn_tensor *dp = qn_mul(b->grad[0], qn_clamp(difference, -delta, delta));
    if (b->needs[0])
        qni_give(b, 0, dp);
    if (b->needs[1])
        qni_give(b, 1, qn_neg(dp));
}

const qni_op qni_op_huber = {
    .name = "huber",
    .in = "p t",
    .out = "loss",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_scalar_attrs),
    .fields = qni_scalar_fields,
    .elementwise = true,
    .infer = qni_infer_loss,
    .backward = huber_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 5},
};

qn_tensor *qn_huber(qn_tensor *prediction, qn_tensor *target, double delta) {
    if (!qni_given("huber", (qn_tensor *[]){prediction, target}, 2))
        return NULL;
    if (!(delta > 0)) {
        qn_context_fail(prediction->ctx, QN_INVALID_ARGUMENT,
                        "huber: delta must be greater than 0, got %g", delta);
        return NULL;
    }
    qn_scalar_attrs attrs = {.value = delta};
    return qn_mean(qni_binary(&qni_op_huber, prediction, target, &attrs), QN_ALL, false);
}
