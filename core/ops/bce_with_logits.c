/* bce_with_logits.c: binary cross entropy of sigmoid(x). */
#include "internal.h"

/* dx = g (sigmoid(x) - t), dt = -g x. */
static void bce_with_logits_backward(qni_backward *b) {
    qn_tensor *g = b->grad[0], *x = b->in[0];
    if (b->needs[0])
        qni_give(b, 0, qn_mul(g, qn_sub(qn_sigmoid(x), b->in[1])));
    if (b->needs[1])
        qni_give(b, 1, qn_neg(qn_mul(g, x)));
}

const qni_op qni_op_bce_with_logits = {
    .name = "bce_with_logits",
    .in = "p t",
    .out = "loss",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_loss,
    .backward = bce_with_logits_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 5},
};

qn_tensor *qn_bce_with_logits(qn_tensor *logits, qn_tensor *target) {
    return qn_mean(qni_binary(&qni_op_bce_with_logits, logits, target, NULL), QN_ALL, false);
}
