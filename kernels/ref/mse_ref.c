/* mse: (p - t)^2. */
#include "ref.h"

static double loss(const double *x, const void *attrs) {
    (void)attrs;
    return (x[0] - x[1]) * (x[0] - x[1]);
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, loss); }

const qn_kernel qnk_ref_mse = {.size = sizeof(qn_kernel), .op = "mse", .run = run};
