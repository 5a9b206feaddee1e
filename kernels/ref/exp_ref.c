/* exp: y = e^x. */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return exp(x[0]);
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_exp = {.size = sizeof(qn_kernel), .op = "exp", .run = run};
