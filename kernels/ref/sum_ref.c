/* sum: over a set of axes. */
#include "ref.h"

static double sum(const qn_view *x, const void *attrs) {
    (void)attrs;
    double total = 0;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w))
        total += ref_load(x, w.at[0]);
    return total;
}

static qn_status run(const qn_call *call) {
    const qn_reduce_attrs *attrs = call->attrs;
    return ref_reduce(call, attrs->axes, sum);
}

const qn_kernel qnk_ref_sum = {
    .size = sizeof(qn_kernel), .op = "sum", .run = run, .attrs_size = sizeof(qn_reduce_attrs)};
