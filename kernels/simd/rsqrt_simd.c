/* rsqrt_simd.c: y = 1 / sqrt(x). */
#include "simd_map.h"

SIMD_INLINE vf rsqrt_body(vf x) { return 1.0f / v_sqrt(x); }

static void rsqrt_span(const simd_span *span) { simd_unary(span, rsqrt_body); }

static qn_status rsqrt_run(const qn_call *call) { return simd_map(call, rsqrt_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(rsqrt) = {
    .size = sizeof(qn_kernel),
    .op = "rsqrt",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = rsqrt_run,
};
