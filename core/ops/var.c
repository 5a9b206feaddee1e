/* var.c: the variance over a set of axes. */
#include <math.h>

#include "internal.h"

/* dx = 2 g (x - mean) / (n - correction), NaN where the variance is. */
static void var_backward(qni_backward *b) {
    const qn_reduce_attrs *attrs = b->attrs;
    qn_tensor *x = b->in[0];
    int64_t groups = qn_view_count(&b->out[0]->view);
    int64_t n = groups ? qn_view_count(&x->view) / groups : 0;
    qn_reduce_attrs same_axes = {.axes = attrs->axes};
    qn_tensor *deviation = qn_sub(x, qni_unary(&qni_op_mean, x, &same_axes));
    double scale = n > attrs->correction ? 2 / (double)(n - attrs->correction) : NAN;
    qni_give(b, 0, qn_mul(qn_affine(b->grad[0], scale, 0), deviation));
}

const qni_op qni_op_var = {
    .name = "var",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .reduction = true,
    .attrs_size = sizeof(qn_reduce_attrs),
    .fields = qni_reduce_fields,
    .infer = qni_infer_reduce,
    .backward = var_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 4},
};

qn_tensor *qn_var(qn_tensor *x, qn_axes axes, int correction, bool keepdim) {
    return qni_reduce(&qni_op_var, x, axes, correction, keepdim);
}
