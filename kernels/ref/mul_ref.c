/* mul: y = a b. */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return x[0] * x[1];
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_mul = {.size = sizeof(qn_kernel), .op = "mul", .run = run};
