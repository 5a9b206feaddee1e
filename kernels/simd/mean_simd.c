/* mean_simd.c: mean over a set of axes; NaN over nothing. */
#include "simd_reduce.h"

static qn_status mean_run(const qn_call *call) {
    int64_t outputs = qn_view_count(&call->out[0]);
    if (outputs == 0)
        return QN_OK;
    int64_t count = qn_view_count(&call->in[0]) / outputs;
    return simd_reduce_run(call, &simd_reduce_sum, 1.0 / (double)count);
}

const qn_kernel SIMD_KERNEL(mean) = {
    .size = sizeof(qn_kernel),
    .op = "mean",
    .declines = simd_reduce_declines,
    .workspace = simd_reduce_workspace,
    .run = mean_run,
    .attrs_size = sizeof(qn_reduce_attrs),
};
