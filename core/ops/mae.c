/* mae.c: the mean absolute error. */
#include "internal.h"

/* dp = g sign(p - t), dt = -dp. */
static void mae_backward(qni_backward *b) {
    qn_tensor *dp = qn_mul(b->grad[0], qn_sign(qn_sub(b->in[0], b->in[1])));
    if (b->needs[0])
        qni_give(b, 0, dp);
    if (b->needs[1])
        qni_give(b, 1, qn_neg(dp));
}

const qni_op qni_op_mae = {
    .name = "mae",
    .in = "p t",
    .out = "loss",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_loss,
    .backward = mae_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 2},
};

qn_tensor *qn_mae(qn_tensor *prediction, qn_tensor *target) {
    return qn_mean(qni_binary(&qni_op_mae, prediction, target, NULL), QN_ALL, false);
}
