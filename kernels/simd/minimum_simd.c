/* minimum_simd.c: y = min(a, b), NaN where either is. */
#include "simd_map.h"

static void minimum_span(const simd_span *span) { simd_binary(span, v_min_nan); }

static qn_status minimum_run(const qn_call *call) {
    return simd_map(call, minimum_span, SIMD_CHEAP);
}

const qn_kernel SIMD_KERNEL(minimum) = {
    .size = sizeof(qn_kernel),
    .op = "minimum",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = minimum_run,
};
