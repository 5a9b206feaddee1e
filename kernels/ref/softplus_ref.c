/* softplus: y = ln(1 + e^x); dx = g sigmoid(x). */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return fmax(x[0], 0) + log1p(exp(-fabs(x[0])));
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_softplus = {.size = sizeof(qn_kernel), .op = "softplus", .run = run};

static double grad(const double *x, const void *attrs) {
    (void)attrs;
    return x[0] / (1 + exp(-x[1]));
}

static qn_status run_grad(const qn_call *call) { return ref_elementwise(call, grad); }

const qn_kernel qnk_ref_softplus_grad = {
    .size = sizeof(qn_kernel), .op = "softplus_grad", .run = run_grad};
