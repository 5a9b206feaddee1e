/* mean: over a set of axes; NaN over nothing. */
#include "ref.h"

static double mean(const qn_view *x, const void *attrs) {
    (void)attrs;
    double total = 0;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w))
        total += ref_load(x, w.at[0]);
    return total / (double)qn_view_count(x);
}

static qn_status run(const qn_call *call) {
    const qn_reduce_attrs *attrs = call->attrs;
    return ref_reduce(call, attrs->axes, mean);
}

const qn_kernel qnk_ref_mean = {
    .size = sizeof(qn_kernel), .op = "mean", .run = run, .attrs_size = sizeof(qn_reduce_attrs)};
