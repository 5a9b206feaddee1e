/* min_cuda.cu: the smallest along a set of axes; NaN if any element is. */
#include "cuda_extreme.h"

namespace {

qn_status run(const qn_call *call) { return extreme_run<reduce_min>(call, INFINITY); }

} // namespace

extern "C" const qn_kernel qnk_cuda_min;
const qn_kernel qnk_cuda_min = {.size = sizeof(qn_kernel),
                                .op = "min",
                                .workspace = reduced_workspace,
                                .run = run,
                                .attrs_size = sizeof(qn_reduce_attrs)};
