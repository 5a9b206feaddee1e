/* leaky_relu: y = x > 0 ? x : slope x; dx = x > 0 ? g : slope g. */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    const qn_scalar_attrs *slope = attrs;
    return x[0] > 0 ? x[0] : slope->value * x[0];
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_leaky_relu = {.size = sizeof(qn_kernel),
                                      .op = "leaky_relu",
                                      .run = run,
                                      .attrs_size = sizeof(qn_scalar_attrs)};

static double grad(const double *x, const void *attrs) {
    const qn_scalar_attrs *slope = attrs;
    return x[1] > 0 ? x[0] : slope->value * x[0];
}

static qn_status run_grad(const qn_call *call) { return ref_elementwise(call, grad); }

const qn_kernel qnk_ref_leaky_relu_grad = {.size = sizeof(qn_kernel),
                                           .op = "leaky_relu_grad",
                                           .run = run_grad,
                                           .attrs_size = sizeof(qn_scalar_attrs)};
