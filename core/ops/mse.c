/* mse.c: the mean squared error. */
#include "internal.h"

/* dp = 2 g (p - t), dt = -dp. */
static void mse_backward(qni_backward *b) {
    qn_tensor *difference = qn_sub(b->in[0], b->in[1]);
    qn_tensor *dp = qn_mul(b->grad[0], qn_affine(difference, 2, 0));
    if (b->needs[0])
        qni_give(b, 0, dp);
    if (b->needs[1])
        qni_give(b, 1, qn_neg(dp));
}

const qni_op qni_op_mse = {
    .name = "mse",
    .in = "p t",
    .out = "loss",
    .inputs = 2,
    .outputs = 1,
    .unread_outputs = 1,
    .elementwise = true,
    .infer = qni_infer_loss,
    .backward = mse_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 2},
};

qn_tensor *qn_mse(qn_tensor *prediction, qn_tensor *target) {
    return qn_mean(qni_binary(&qni_op_mse, prediction, target, NULL), QN_ALL, false);
}
