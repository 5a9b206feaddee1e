/* mean.c: the mean over a set of axes. */
#include "internal.h"

/* dx = g / n, the same for every one of the n elements. */
static void mean_backward(qni_backward *b) {
    const qn_view *x = &b->in[0]->view, *y = &b->out[0]->view;
    double share = (double)qn_view_count(y) / (double)qn_view_count(x);
    qni_give(b, 0, qn_expand(qn_affine(b->grad[0], share, 0), qni_shape_of(x)));
}

const qni_op qni_op_mean = {
    .name = "mean",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .unread_outputs = 1,
    .reduction = true,
    .attrs_size = sizeof(qn_reduce_attrs),
    .fields = qni_reduce_fields,
    .infer = qni_infer_reduce,
    .backward = mean_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 1},
};

qn_tensor *qn_mean(qn_tensor *x, qn_axes axes, bool keepdim) {
    return qni_reduce(&qni_op_mean, x, axes, 0, keepdim);
}
