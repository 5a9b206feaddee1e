/* cast: the same values in another dtype; what does not fit an integer saturates, NaN becomes 0. */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    (void)attrs;
    return x[0];
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_cast = {
    .size = sizeof(qn_kernel), .op = "cast", .run = run, .attrs_size = sizeof(qn_cast_attrs)};
