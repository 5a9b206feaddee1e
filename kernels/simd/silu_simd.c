/* silu_simd.c: y = x sigmoid(x) and its gradient. */
#include "simd_map.h"
#include "simd_math.h"

SIMD_INLINE vf silu_body(vf x) { return x * v_sigmoid(x); }

static void silu_span(const simd_span *span) { simd_unary(span, silu_body); }

static qn_status silu_run(const qn_call *call) { return simd_map(call, silu_span, SIMD_COSTLY); }

const qn_kernel SIMD_KERNEL(silu) = {
    .size = sizeof(qn_kernel),
    .op = "silu",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = silu_run,
};

/* silu'(x) = s (1 + x (1 - s)), s = sigmoid(x). */
SIMD_INLINE vf silu_grad_body(vf g, vf x) {
    vf s = v_sigmoid(x);
    return g * s * (1.0f + x * (1.0f - s));
}

static void silu_grad_span(const simd_span *span) { simd_binary(span, silu_grad_body); }

static qn_status silu_grad_run(const qn_call *call) {
    return simd_map(call, silu_grad_span, SIMD_COSTLY);
}

const qn_kernel SIMD_KERNEL(silu_grad) = {
    .size = sizeof(qn_kernel),
    .op = "silu_grad",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = silu_grad_run,
};
