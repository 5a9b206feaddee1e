/* sigmoid_simd.c: y = 1 / (1 + e^-x) and its gradient. */
#include "simd_map.h"
#include "simd_math.h"

static void sigmoid_span(const simd_span *span) { simd_unary(span, v_sigmoid); }

static qn_status sigmoid_run(const qn_call *call) {
    return simd_map(call, sigmoid_span, SIMD_COSTLY);
}

const qn_kernel SIMD_KERNEL(sigmoid) = {
    .size = sizeof(qn_kernel),
    .op = "sigmoid",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = sigmoid_run,
};

/* sigmoid'(x) = y (1 - y). */
SIMD_INLINE vf sigmoid_grad_body(vf g, vf y) { return g * y * (1.0f - y); }

static void sigmoid_grad_span(const simd_span *span) { simd_binary(span, sigmoid_grad_body); }

static qn_status sigmoid_grad_run(const qn_call *call) {
    return simd_map(call, sigmoid_grad_span, SIMD_CHEAP);
}

const qn_kernel SIMD_KERNEL(sigmoid_grad) = {
    .size = sizeof(qn_kernel),
    .op = "sigmoid_grad",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = sigmoid_grad_run,
};
