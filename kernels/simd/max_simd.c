/* max_simd.c: the greatest over a set of axes; NaN where there is one. */
#include "simd_reduce.h"

static qn_status max_run(const qn_call *call) {
    return simd_reduce_run(call, &simd_reduce_max, 1.0);
}

const qn_kernel SIMD_KERNEL(max) = {
    .size = sizeof(qn_kernel),
    .op = "max",
    .declines = simd_reduce_declines,
    .workspace = simd_reduce_workspace,
    .run = max_run,
    .attrs_size = sizeof(qn_reduce_attrs),
};
