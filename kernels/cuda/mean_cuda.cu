/* mean_cuda.cu: over a set of axes; NaN over nothing. */
#include "cuda_moments.h"

namespace {

qn_status run(const qn_call *call) {
    const cuda_rows lines = reduced_lines(call);
    return reduced_sum(call, lines, (double)lines.inner.count);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_mean;
const qn_kernel qnk_cuda_mean = {.size = sizeof(qn_kernel),
                                 .op = "mean",
                                 .workspace = reduced_workspace,
                                 .run = run,
                                 .attrs_size = sizeof(qn_reduce_attrs)};
