/* sigmoid: y = 1 / (1 + e^-x); dx = g y (1 - y). */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return 1 / (1 + exp(-x[0]));
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_sigmoid = {.size = sizeof(qn_kernel), .op = "sigmoid", .run = run};

static double grad(const double *x, const void *attrs) {
    (void)attrs;
    return x[0] * x[1] * (1 - x[1]);
}

static qn_status run_grad(const qn_call *call) { return ref_elementwise(call, grad); }

const qn_kernel qnk_ref_sigmoid_grad = {
    .size = sizeof(qn_kernel), .op = "sigmoid_grad", .run = run_grad};
