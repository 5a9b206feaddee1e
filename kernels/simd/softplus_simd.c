/* softplus_simd.c: y = ln(1 + e^x) and its gradient. */
#include "simd_map.h"
#include "simd_math.h"

static void softplus_span(const simd_span *span) { simd_unary(span, v_softplus); }

static qn_status softplus_run(const qn_call *call) {
    return simd_map(call, softplus_span, SIMD_COSTLY);
}

const qn_kernel SIMD_KERNEL(softplus) = {
    .size = sizeof(qn_kernel),
    .op = "softplus",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = softplus_run,
};

/* softplus'(x) = sigmoid(x). */
SIMD_INLINE vf softplus_grad_body(vf g, vf x) { return g * v_sigmoid(x); }

static void softplus_grad_span(const simd_span *span) { simd_binary(span, softplus_grad_body); }

static qn_status softplus_grad_run(const qn_call *call) {
    return simd_map(call, softplus_grad_span, SIMD_COSTLY);
}

const qn_kernel SIMD_KERNEL(softplus_grad) = {
    .size = sizeof(qn_kernel),
    .op = "softplus_grad",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = softplus_grad_run,
};
