/* softsign: y = x / (1 + |x|). */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return isinf(x[0]) ? copysign(1, x[0]) : x[0] / (1 + fabs(x[0]));
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_softsign = {.size = sizeof(qn_kernel), .op = "softsign", .run = run};
