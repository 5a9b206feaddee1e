/* maximum_simd.c: y = max(a, b), NaN where either is. */
#include "simd_map.h"

static void maximum_span(const simd_span *span) { simd_binary(span, v_max_nan); }

static qn_status maximum_run(const qn_call *call) {
    return simd_map(call, maximum_span, SIMD_CHEAP);
}

const qn_kernel SIMD_KERNEL(maximum) = {
    .size = sizeof(qn_kernel),
    .op = "maximum",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = maximum_run,
};
