/* sqrt: y = sqrt(x). */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return sqrt(x[0]);
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_sqrt = {.size = sizeof(qn_kernel), .op = "sqrt", .run = run};
