/* div_simd.c: y = a / b. */
#include "simd_map.h"

SIMD_INLINE vf div_body(vf a, vf b) { return a / b; }

static void div_span(const simd_span *span) { simd_binary(span, div_body); }

static qn_status div_run(const qn_call *call) { return simd_map(call, div_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(div) = {
    .size = sizeof(qn_kernel),
    .op = "div",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = div_run,
};
