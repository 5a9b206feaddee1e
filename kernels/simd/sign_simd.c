/* sign_simd.c: -1, 0 or 1 as x is below, at or above 0; NaN stays. A denormal number is neither
 * below nor above, and its product with 0 is 0. */
#include "simd_map.h"

SIMD_INLINE vf sign_body(vf x) {
    return v_select(x > 0.0f, v_set(1.0f), v_select(x < 0.0f, v_set(-1.0f), x * 0.0f));
}

static void sign_span(const simd_span *span) { simd_unary(span, sign_body); }

static qn_status sign_run(const qn_call *call) { return simd_map(call, sign_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(sign) = {
    .size = sizeof(qn_kernel),
    .op = "sign",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = sign_run,
};
