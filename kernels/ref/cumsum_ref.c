/* cumsum: y[i] = x[0] + ... + x[i] along an axis, or x[i] + ... + x[last] in reverse. */
#include "ref_lines.h"

static void sum_line(const qn_view *x, const qn_view *y, const void *attrs) {
    const bool reverse = ((const qn_cumsum_attrs *)attrs)->reverse;
    double total = 0;
    for (int64_t step = 0; step < x->shape[0]; step++) {
        int64_t i = reverse ? x->shape[0] - 1 - step : step;
        total += ref_load(x, i * x->stride[0]);
        ref_store(y, i * y->stride[0], total);
    }
}

static qn_status run(const qn_call *call) {
    return ref_lines(call, ((const qn_cumsum_attrs *)call->attrs)->axis, sum_line);
}

const qn_kernel qnk_ref_cumsum = {
    .size = sizeof(qn_kernel), .op = "cumsum", .run = run, .attrs_size = sizeof(qn_cumsum_attrs)};
