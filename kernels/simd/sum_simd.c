/* sum_simd.c: sum over a set of axes. */
#include "simd_reduce.h"

static qn_status sum_run(const qn_call *call) {
    return simd_reduce_run(call, &simd_reduce_sum, 1.0);
}

const qn_kernel SIMD_KERNEL(sum) = {
    .size = sizeof(qn_kernel),
    .op = "sum",
    .declines = simd_reduce_declines,
    .workspace = simd_reduce_workspace,
    .run = sum_run,
    .attrs_size = sizeof(qn_reduce_attrs),
};
