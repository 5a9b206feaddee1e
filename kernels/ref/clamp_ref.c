/* clamp: y = min(max(x, low), high), NaN for NaN; dx = g where low <= x <= high, else 0. */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    const qn_range_attrs *range = attrs;
    double raised = x[0] < range->low ? range->low : x[0];
    return raised > range->high ? range->high : raised;
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_clamp = {
    .size = sizeof(qn_kernel), .op = "clamp", .run = run, .attrs_size = sizeof(qn_range_attrs)};

static double grad(const double *x, const void *attrs) {
    const qn_range_attrs *range = attrs;
    return x[1] >= range->low && x[1] <= range->high ? x[0] : 0;
}

static qn_status run_grad(const qn_call *call) { return ref_elementwise(call, grad); }

const qn_kernel qnk_ref_clamp_grad = {.size = sizeof(qn_kernel),
                                      .op = "clamp_grad",
                                      .run = run_grad,
                                      .attrs_size = sizeof(qn_range_attrs)};
