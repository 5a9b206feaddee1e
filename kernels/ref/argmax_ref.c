/* argmax: position of the first greatest element along an axis; NaN counts as greatest. */
#include "ref.h"

static double first_greatest(const qn_view *x, const void *attrs) {
    (void)attrs;
    int64_t best = 0, best_at = 0, i = 0;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w), i++) {
        if (ref_order(x, best_at, x, best_at) == 2)
            break; /* a NaN: nothing is greater */
        int order = ref_order(x, w.at[0], x, best_at);
        if (order > 0) { /* greater, or NaN */
            best = i;
            best_at = w.at[0];
        }
    }
    return (double)best;
}

static qn_status run(const qn_call *call) {
    const qn_axis_attrs *attrs = call->attrs;
    return ref_reduce(call, UINT32_C(1) << attrs->axis, first_greatest);
}

const qn_kernel qnk_ref_argmax = {
    .size = sizeof(qn_kernel), .op = "argmax", .run = run, .attrs_size = sizeof(qn_axis_attrs)};
