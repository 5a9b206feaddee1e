/* relu: y = max(x, 0), NaN for NaN; dx = g where y > 0, else 0. */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return x[0] < 0 ? 0 : x[0];
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_relu = {.size = sizeof(qn_kernel), .op = "relu", .run = run};

static double grad(const double *x, const void *attrs) {
    (void)attrs;
    return x[1] > 0 ? x[0] : 0;
}

static qn_status run_grad(const qn_call *call) { return ref_elementwise(call, grad); }

const qn_kernel qnk_ref_relu_grad = {.size = sizeof(qn_kernel), .op = "relu_grad", .run = run_grad};
