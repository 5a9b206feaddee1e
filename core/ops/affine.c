/* affine.c: y = scale x + shift. */
#include "internal.h"

/* dx = scale g. */
static void affine_backward(qni_backward *b) {
    const qn_affine_attrs *attrs = b->attrs;
    qni_give(b, 0, qn_affine(b->grad[0], attrs->scale, 0));
}

const qni_op qni_op_affine = {
    .name = "affine",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .unread_outputs = 1,
    .attrs_size = sizeof(qn_affine_attrs),
    .fields = qni_affine_fields,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = affine_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 2},
};

qn_tensor *qn_affine(qn_tensor *x, double scale, double shift) {
    qn_affine_attrs attrs = {.scale = scale, .shift = shift};
    return qni_unary(&qni_op_affine, x, &attrs);
}
