/* silu: y = x s with s = sigmoid(x); dx = g s (1 + x (1 - s)). */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return x[0] / (1 + exp(-x[0]));
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_silu = {.size = sizeof(qn_kernel), .op = "silu", .run = run};

static double grad(const double *x, const void *attrs) {
    (void)attrs;
    double s = 1 / (1 + exp(-x[1]));
    return x[0] * s * (1 + x[1] * (1 - s));
}

static qn_status run_grad(const qn_call *call) { return ref_elementwise(call, grad); }

const qn_kernel qnk_ref_silu_grad = {.size = sizeof(qn_kernel), .op = "silu_grad", .run = run_grad};
