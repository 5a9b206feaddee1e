/* max_cuda.cu: the greatest along a set of axes; NaN if any element is. */
#include "cuda_extreme.h"

namespace {

qn_status run(const qn_call *call) { return extreme_run<reduce_max>(call, -INFINITY); }

} // namespace

extern "C" const qn_kernel qnk_cuda_max;
const qn_kernel qnk_cuda_max = {.size = sizeof(qn_kernel),
                                .op = "max",
                                .workspace = reduced_workspace,
                                .run = run,
                                .attrs_size = sizeof(qn_reduce_attrs)};
