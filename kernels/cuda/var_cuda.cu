/* var_cuda.cu: sum((x - mean)^2) / (n - correction) over a set of axes; NaN where n is not above
 * it. */
#include "cuda_moments.h"

namespace {

/* The workspace: the means, then what the reductions need. */

size_t workspace(const qn_call *call) {
    const cuda_rows lines = reduced_lines(call);
    return (size_t)lines.outer.count * sizeof(double) + lines_workspace(lines);
}

template <class T> qn_status var(const qn_call *call) {
    const int32_t correction = ((const qn_reduce_attrs *)call->attrs)->correction;
    const cuda_rows lines = reduced_lines(call);
    const int64_t n = lines.inner.count;
    const void *x = call->in->data;
    double *mean = (double *)call->workspace;
    qn_status status = lines_reduce<T>(call, lines, x, line_sum<T, double>(mean, (double)n),
                                       mean + lines.outer.count);
    if (status != QN_OK)
        return status;
    const double divisor = n > correction ? (double)(n - correction) : NAN;
    return lines_reduce<T>(call, lines, x, line_squares<T, T>(call->out->data, divisor, mean),
                           mean + lines.outer.count);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? var<double>(call) : var<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_var;
const qn_kernel qnk_cuda_var = {.size = sizeof(qn_kernel),
                                .op = "var",
                                .workspace = workspace,
                                .run = run,
                                .attrs_size = sizeof(qn_reduce_attrs)};
