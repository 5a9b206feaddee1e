/* sign: y = -1, 0 or 1; NaN for NaN. */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return x[0] != x[0] ? x[0] : (x[0] > 0) - (x[0] < 0);
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_sign = {.size = sizeof(qn_kernel), .op = "sign", .run = run};
