/* pow.c: y = a^b. */
#include "internal.h"

/* da = g b a^(b - 1), and 0 where b is 0, also for a = 0; db = g y ln a. */
static void pow_backward(qni_backward *b) {
    qn_tensor *g = b->grad[0], *base = b->in[0], *power = b->in[1];
    if (b->needs[0]) {
        qn_tensor *zero = qn_zeros(b->ctx, g->view.dtype, QN_SCALAR);
        qn_tensor *slope = qn_mul(power, qn_pow(base, qn_affine(power, 1, -1)));
        qni_give(b, 0, qn_mul(g, qn_where(qn_equal(power, zero), zero, slope)));
    }
    if (b->needs[1])
        qni_give(b, 1, qn_mul(g, qn_mul(b->out[0], qn_log(base))));
}

const qni_op qni_op_pow = {
    .name = "pow",
    .in = "a b",
    .out = "y",
    .inputs = 2,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_binary,
    .backward = pow_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_pow(qn_tensor *a, qn_tensor *b) { return qni_binary(&qni_op_pow, a, b, NULL); }
