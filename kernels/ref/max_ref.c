/* max: the greatest along a set of axes; NaN if any element is. */
#include "ref.h"

static double greatest(const qn_view *x, const void *attrs) {
    (void)attrs;
    double best = -INFINITY;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w)) {
        double value = ref_load(x, w.at[0]);
        best = value > best || value != value ? value : best;
    }
    return best;
}

static qn_status run(const qn_call *call) {
    const qn_reduce_attrs *attrs = call->attrs;
    return ref_reduce(call, attrs->axes, greatest);
}

const qn_kernel qnk_ref_max = {
    .size = sizeof(qn_kernel), .op = "max", .run = run, .attrs_size = sizeof(qn_reduce_attrs)};
