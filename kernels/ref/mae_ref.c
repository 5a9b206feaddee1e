/* mae: |p - t|. */
#include "ref.h"

static double loss(const double *x, const void *attrs) {
    (void)attrs;
    return fabs(x[0] - x[1]);
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, loss); }

const qn_kernel qnk_ref_mae = {.size = sizeof(qn_kernel), .op = "mae", .run = run};
