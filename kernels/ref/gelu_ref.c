/* gelu: y = x Phi(x), or 0.5 x (1 + tanh u) with u = c (x + a x^3); dx = g y'. */
#include "ref.h"

static const double c = 0.79788456080286535588; /* sqrt(2 / pi) */
static const double a = 0.044715;

static double value(const double *x, const void *attrs) {
    const qn_gelu_attrs *gelu = attrs;
    double v = x[0];
    if (gelu->tanh_form)
        return 0.5 * v * (1 + tanh(c * (v + a * v * v * v)));
    return 0.5 * v * erfc(-v * M_SQRT1_2);
}

static double grad(const double *x, const void *attrs) {
    const qn_gelu_attrs *gelu = attrs;
    double v = x[1];
    if (gelu->tanh_form) {
        double t = tanh(c * (v + a * v * v * v));
        return x[0] * 0.5 * (1 + t + v * (1 - t * t) * c * (1 + 3 * a * v * v));
    }
    return x[0] * 0.5 * (erfc(-v * M_SQRT1_2) + v * c * exp(-0.5 * v * v));
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_gelu = {
    .size = sizeof(qn_kernel), .op = "gelu", .run = run, .attrs_size = sizeof(qn_gelu_attrs)};

static qn_status run_grad(const qn_call *call) { return ref_elementwise(call, grad); }

const qn_kernel qnk_ref_gelu_grad = {.size = sizeof(qn_kernel),
                                     .op = "gelu_grad",
                                     .run = run_grad,
                                     .attrs_size = sizeof(qn_gelu_attrs)};
