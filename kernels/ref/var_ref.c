/* var: sum((x - mean)^2) / (n - correction) over a set of axes; NaN where n is not above it. */
#include "ref.h"

static double var(const qn_view *x, const void *attrs) {
    const qn_reduce_attrs *reduce = attrs;
    int64_t n = qn_view_count(x);
    double mean = 0, squares = 0;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w))
        mean += ref_load(x, w.at[0]) / (double)n;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w)) {
        double d = ref_load(x, w.at[0]) - mean;
        squares += d * d;
    }
    return n > reduce->correction ? squares / (double)(n - reduce->correction) : NAN;
}

static qn_status run(const qn_call *call) {
    const qn_reduce_attrs *attrs = call->attrs;
    return ref_reduce(call, attrs->axes, var);
}

const qn_kernel qnk_ref_var = {
    .size = sizeof(qn_kernel), .op = "var", .run = run, .attrs_size = sizeof(qn_reduce_attrs)};
