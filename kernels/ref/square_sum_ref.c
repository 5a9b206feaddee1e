/* square_sum: the sum of squares of all elements, or of those in rows that are seen. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_view *x = call->in;
    double total = 0;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w)) {
        double value = ref_row_seen(&call->in[1], w.index[0]) ? ref_load(x, w.at[0]) : 0;
        total += value * value;
    }
    ref_store(call->out, 0, total);
    return QN_OK;
}

const qn_kernel qnk_ref_square_sum = {.size = sizeof(qn_kernel), .op = "square_sum", .run = run};
