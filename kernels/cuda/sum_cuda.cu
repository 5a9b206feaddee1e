/* sum_cuda.cu: over a set of axes. */
#include "cuda_moments.h"

namespace {

qn_status run(const qn_call *call) { return reduced_sum(call, reduced_lines(call), 1); }

} // namespace

extern "C" const qn_kernel qnk_cuda_sum;
const qn_kernel qnk_cuda_sum = {.size = sizeof(qn_kernel),
                                .op = "sum",
                                .workspace = reduced_workspace,
                                .run = run,
                                .attrs_size = sizeof(qn_reduce_attrs)};
