/* not_equal_simd.c: y (u8) = a != b. */
#include "simd_map.h"

SIMD_INLINE vi not_equal_body(vf a, vf b) { return a != b; }

static void not_equal_span(const simd_span *span) { simd_compare(span, not_equal_body); }

static qn_status not_equal_run(const qn_call *call) {
    return simd_map(call, not_equal_span, SIMD_CHEAP);
}

const qn_kernel SIMD_KERNEL(not_equal) = {
    .size = sizeof(qn_kernel),
    .op = "not_equal",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = not_equal_run,
};
