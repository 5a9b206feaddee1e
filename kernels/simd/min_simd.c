/* min_simd.c: the smallest over a set of axes; NaN where there is one. */
#include "simd_reduce.h"

static qn_status min_run(const qn_call *call) {
    return simd_reduce_run(call, &simd_reduce_min, 1.0);
}

const qn_kernel SIMD_KERNEL(min) = {
    .size = sizeof(qn_kernel),
    .op = "min",
    .declines = simd_reduce_declines,
    .workspace = simd_reduce_workspace,
    .run = min_run,
    .attrs_size = sizeof(qn_reduce_attrs),
};
