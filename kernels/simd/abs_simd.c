/* abs_simd.c: y = |x|. */
#include "simd_map.h"

static void abs_span(const simd_span *span) { simd_unary(span, v_abs); }

static qn_status abs_run(const qn_call *call) { return simd_map(call, abs_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(abs) = {
    .size = sizeof(qn_kernel),
    .op = "abs",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = abs_run,
};
