/* equal_simd.c: y (u8) = a == b. */
#include "simd_map.h"

SIMD_INLINE vi equal_body(vf a, vf b) { return a == b; }

static void equal_span(const simd_span *span) { simd_compare(span, equal_body); }

static qn_status equal_run(const qn_call *call) { return simd_map(call, equal_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(equal) = {
    .size = sizeof(qn_kernel),
    .op = "equal",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = equal_run,
};
