/* log: y = ln x. */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return log(x[0]);
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_log = {.size = sizeof(qn_kernel), .op = "log", .run = run};
