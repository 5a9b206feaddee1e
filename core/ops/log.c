/* log.c: y = ln x. */
#include "internal.h"

/* dx = g / x. */
static void log_backward(qni_backward *b) { qni_give(b, 0, qn_div(b->grad[0], b->in[0])); }

const qni_op qni_op_log = {
    .name = "log",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = log_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};

qn_tensor *qn_log(qn_tensor *x) { return qni_unary(&qni_op_log, x, NULL); }
