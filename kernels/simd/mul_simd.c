/* mul_simd.c: y = a * b. */
#include "simd_map.h"

SIMD_INLINE vf mul_body(vf a, vf b) { return a * b; }

static void mul_span(const simd_span *span) { simd_binary(span, mul_body); }

static qn_status mul_run(const qn_call *call) { return simd_map(call, mul_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(mul) = {
    .size = sizeof(qn_kernel),
    .op = "mul",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = mul_run,
};
