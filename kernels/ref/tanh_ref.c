/* tanh: y = tanh(x); dx = g (1 - y^2). */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return tanh(x[0]);
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_tanh = {.size = sizeof(qn_kernel), .op = "tanh", .run = run};

static double grad(const double *x, const void *attrs) {
    (void)attrs;
    return x[0] * (1 - x[1] * x[1]);
}

static qn_status run_grad(const qn_call *call) { return ref_elementwise(call, grad); }

const qn_kernel qnk_ref_tanh_grad = {.size = sizeof(qn_kernel), .op = "tanh_grad", .run = run_grad};
