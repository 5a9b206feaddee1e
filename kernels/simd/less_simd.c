/* less_simd.c: y (u8) = a < b. */
#include "simd_map.h"

SIMD_INLINE vi less_body(vf a, vf b) { return a < b; }

static void less_span(const simd_span *span) { simd_compare(span, less_body); }

static qn_status less_run(const qn_call *call) { return simd_map(call, less_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(less) = {
    .size = sizeof(qn_kernel),
    .op = "less",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = less_run,
};
