/* add_simd.c: y = a + b. */
#include "simd_map.h"

SIMD_INLINE vf add_body(vf a, vf b) { return a + b; }

static void add_span(const simd_span *span) { simd_binary(span, add_body); }

static qn_status add_run(const qn_call *call) { return simd_map(call, add_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(add) = {
    .size = sizeof(qn_kernel),
    .op = "add",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = add_run,
};
