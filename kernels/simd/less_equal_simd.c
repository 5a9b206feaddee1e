/* less_equal_simd.c: y (u8) = a <= b. */
#include "simd_map.h"

SIMD_INLINE vi less_equal_body(vf a, vf b) { return a <= b; }

static void less_equal_span(const simd_span *span) { simd_compare(span, less_equal_body); }

static qn_status less_equal_run(const qn_call *call) {
    return simd_map(call, less_equal_span, SIMD_CHEAP);
}

const qn_kernel SIMD_KERNEL(less_equal) = {
    .size = sizeof(qn_kernel),
    .op = "less_equal",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = less_equal_run,
};
