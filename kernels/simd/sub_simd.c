/* sub_simd.c: y = a - b. */
#include "simd_map.h"

SIMD_INLINE vf sub_body(vf a, vf b) { return a - b; }

static void sub_span(const simd_span *span) { simd_binary(span, sub_body); }

static qn_status sub_run(const qn_call *call) { return simd_map(call, sub_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(sub) = {
    .size = sizeof(qn_kernel),
    .op = "sub",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = sub_run,
};
