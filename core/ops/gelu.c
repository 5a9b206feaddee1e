/* gelu.c: y = x Phi(x), or 0.5 x (1 + tanh(c (x + a x^3))) (Hendrycks and Gimpel 2016). */
#include "internal.h"

static void gelu_backward(qni_backward *b) {
    qni_give(b, 0, qni_binary(&qni_op_gelu_grad, b->grad[0], b->in[0], b->attrs));
}

const qni_op qni_op_gelu = {
    .name = "gelu",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread_outputs = 1,
    .attrs_size = sizeof(qn_gelu_attrs),
    .fields = qni_gelu_fields,
    .elementwise = true,
    .infer = qni_infer_unary,
    .backward = gelu_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 6},
};

qn_tensor *qn_gelu(qn_tensor *x, bool tanh_form) {
    qn_gelu_attrs attrs = {.tanh_form = tanh_form};
    return qni_unary(&qni_op_gelu, x, &attrs);
}

/* y'' = phi(x) (2 - x^2), phi the density of the normal distribution. */
static qn_tensor *exact_curvature(qn_tensor *x) {
    const double peak = 0.39894228040143267794; /* 1 / sqrt(2 pi) */
    qn_tensor *square = qn_mul(x, x);
    qn_tensor *density = qn_affine(qn_exp(qn_affine(square, -0.5, 0)), peak, 0);
    return qn_mul(density, qn_affine(square, -1, 2));
}

/* With u = c (x + a x^3) and t = tanh(u): y'' = (1 - t^2) (u' + x (u'' / 2 - t u'^2)). */
static qn_tensor *tanh_curvature(qn_tensor *x) {
    const double c = 0.79788456080286535588, a = 0.044715; /* c = sqrt(2 / pi) */
    qn_tensor *square = qn_mul(x, x);
    qn_tensor *t = qn_tanh(qn_mul(x, qn_affine(square, c * a, c)));
    qn_tensor *first = qn_affine(square, 3 * c * a, c);
    qn_tensor *half_second = qn_affine(x, 3 * c * a, 0);
    qn_tensor *bend = qn_mul(x, qn_sub(half_second, qn_mul(t, qn_mul(first, first))));
    return qn_mul(qn_affine(qn_mul(t, t), -1, 1), qn_add(first, bend));
}

/* dx = g y'. For u, the gradient of dx: dg = u y', and with respect to x: u g y''. */
static void gelu_grad_backward(qni_backward *b) {
    const qn_gelu_attrs *attrs = b->attrs;
    qn_tensor *g = b->in[0], *x = b->in[1], *u = b->grad[0];
    if (b->needs[0])
        qni_give(b, 0, qni_binary(&qni_op_gelu_grad, u, x, attrs));
    if (b->needs[1])
        qni_give(b, 1,
                 qn_mul(qn_mul(u, g), attrs->tanh_form ? tanh_curvature(x) : exact_curvature(x)));
}

const qni_op qni_op_gelu_grad = {
    .name = "gelu_grad",
    .in = "g x",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_gelu_attrs),
    .fields = qni_gelu_fields,
    .elementwise = true,
    .infer = qni_infer_grad,
    .backward = gelu_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 10},
};
