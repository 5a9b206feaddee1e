/* sqrt_simd.c: y = sqrt(x). */
#include "simd_map.h"

static void sqrt_span(const simd_span *span) { simd_unary(span, v_sqrt); }

static qn_status sqrt_run(const qn_call *call) { return simd_map(call, sqrt_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(sqrt) = {
    .size = sizeof(qn_kernel),
    .op = "sqrt",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = sqrt_run,
};
