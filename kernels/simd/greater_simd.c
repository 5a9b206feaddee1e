/* greater_simd.c: y (u8) = a > b. */
#include "simd_map.h"

SIMD_INLINE vi greater_body(vf a, vf b) { return a > b; }

static void greater_span(const simd_span *span) { simd_compare(span, greater_body); }

static qn_status greater_run(const qn_call *call) {
    return simd_map(call, greater_span, SIMD_CHEAP);
}

const qn_kernel SIMD_KERNEL(greater) = {
    .size = sizeof(qn_kernel),
    .op = "greater",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = greater_run,
};
