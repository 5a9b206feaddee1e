/* affine: y = scale x + shift. */
#include "ref.h"

static double value(const double *x, const void *attrs) {
    const qn_affine_attrs *affine = attrs;
    return affine->scale * x[0] + affine->shift;
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, value); }

const qn_kernel qnk_ref_affine = {
    .size = sizeof(qn_kernel), .op = "affine", .run = run, .attrs_size = sizeof(qn_affine_attrs)};
