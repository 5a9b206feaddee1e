/* bce_with_logits: max(x, 0) - x t + log(1 + e^-|x|). */
#include "ref.h"

static double loss(const double *x, const void *attrs) {
    (void)attrs;
    return (x[0] > 0 ? x[0] : 0) - x[0] * x[1] + log1p(exp(-fabs(x[0])));
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, loss); }

const qn_kernel qnk_ref_bce_with_logits = {
    .size = sizeof(qn_kernel), .op = "bce_with_logits", .run = run};
