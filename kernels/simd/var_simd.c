/* var_simd.c: variance over a set of axes, in two passes: the mean, then the squares about it. NaN
 * where the count is not above the correction. */
#include "simd_reduce.h"

#include <math.h>

static qn_status var_run(const qn_call *call) {
    const qn_reduce_attrs *attrs = call->attrs;
    int64_t outputs = qn_view_count(&call->out[0]);
    if (outputs == 0)
        return QN_OK;
    int64_t count = qn_view_count(&call->in[0]) / outputs;
    double *result = call->workspace, divisor = (double)(count - attrs->correction);
    float *out = call->out[0].data; /* holds the means meanwhile */
    simd_reduce(call, &simd_reduce_sum, NULL, result, result + outputs);
    for (int64_t i = 0; i < outputs; i++)
        out[i] = (float)(result[i] / (double)count);
    simd_reduce(call, &simd_reduce_squares, out, result, result + outputs);
    for (int64_t i = 0; i < outputs; i++)
        out[i] = divisor > 0 ? (float)(result[i] / divisor) : NAN;
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(var) = {
    .size = sizeof(qn_kernel),
    .op = "var",
    .declines = simd_reduce_declines,
    .workspace = simd_reduce_workspace,
    .run = var_run,
    .attrs_size = sizeof(qn_reduce_attrs),
};
