/* huber: d = p - t: d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2). */
#include "ref.h"

static double loss(const double *x, const void *attrs) {
    double delta = ((const qn_scalar_attrs *)attrs)->value;
    double distance = fabs(x[0] - x[1]);
    return distance <= delta ? distance * distance / 2 : delta * (distance - delta / 2);
}

static qn_status run(const qn_call *call) { return ref_elementwise(call, loss); }

const qn_kernel qnk_ref_huber = {
    .size = sizeof(qn_kernel), .op = "huber", .run = run, .attrs_size = sizeof(qn_scalar_attrs)};
