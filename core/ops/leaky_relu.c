/* leaky_relu.c: y = x > 0 ? x : slope x. */
#include "internal.h"

static void leaky_relu_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_leaky_relu_grad, b->grad[0], b->in[0], b->attrs));
}

const qni_op qni_op_leaky_relu = {
    .name = "leaky_relu",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .attrs_size = sizeof(qn_scalar_attrs),
    .fields = qni_scalar_fields,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = leaky_relu_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 2},
};

qn_tensor *qn_leaky_relu(qn_tensor *x, double slope) {
    qn_scalar_attrs attrs = {.value = slope};
    return qni_unary(&qni_op_leaky_relu, x, &attrs);
}

/* dx = g where x > 0, else slope g: linear in g, and constant in x between the steps. */
static void leaky_relu_grad_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_leaky_relu_grad, b->grad[0], b->in[1], b->attrs));
    qni_give_zeros(b, 1);
}

const qni_op qni_op_leaky_relu_grad = {
    .name = "leaky_relu_grad",
    .in = "g x",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_scalar_attrs),
    .fields = qni_scalar_fields,
    .elementwise = true,
    .infer = qni_infer_grad,
    .backward = leaky_relu_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 1},
};
