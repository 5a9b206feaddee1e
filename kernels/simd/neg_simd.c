/* neg_simd.c: y = -x. */
#include "simd_map.h"

SIMD_INLINE vf neg_body(vf x) { return -x; }

static void neg_span(const simd_span *span) { simd_unary(span, neg_body); }

static qn_status neg_run(const qn_call *call) { return simd_map(call, neg_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(neg) = {
    .size = sizeof(qn_kernel),
    .op = "neg",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = neg_run,
};
