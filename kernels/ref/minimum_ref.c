/* minimum: y = min(a, b); NaN where either is NaN. */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return x[0] < x[1] || x[0] != x[0] ? x[0] : x[1];
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_minimum = {.size = sizeof(qn_kernel), .op = "minimum", .run = run};
