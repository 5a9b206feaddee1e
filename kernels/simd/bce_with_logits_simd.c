/* bce_with_logits_simd.c: max(x, 0) - x t + ln(1 + e^-|x|), binary cross entropy of sigmoid(x). */
#include "simd_map.h"
#include "simd_math.h"

SIMD_INLINE vf bce_with_logits_body(vf x, vf t) {
    vf size = v_abs(x);
    return v_max(v_set(0.0f), x) - x * t + v_log1p_unit(v_exp(-size));
}

static void bce_with_logits_span(const simd_span *span) { simd_binary(span, bce_with_logits_body); }

static qn_status bce_with_logits_run(const qn_call *call) {
    return simd_map(call, bce_with_logits_span, SIMD_COSTLY);
}

const qn_kernel SIMD_KERNEL(bce_with_logits) = {
    .size = sizeof(qn_kernel),
    .op = "bce_with_logits",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = bce_with_logits_run,
};
