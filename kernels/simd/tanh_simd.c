/* tanh_simd.c: the hyperbolic tangent and its gradient. */
#include "simd_map.h"
#include "simd_math.h"

static void tanh_span(const simd_span *span) { simd_unary(span, v_tanh); }

static qn_status tanh_run(const qn_call *call) { return simd_map(call, tanh_span, SIMD_COSTLY); }

const qn_kernel SIMD_KERNEL(tanh) = {
    .size = sizeof(qn_kernel),
    .op = "tanh",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = tanh_run,
};

/* tanh'(x) = 1 - tanh(x)^2. */
SIMD_INLINE vf tanh_grad_body(vf g, vf y) { return g * (1.0f - y * y); }

static void tanh_grad_span(const simd_span *span) { simd_binary(span, tanh_grad_body); }

static qn_status tanh_grad_run(const qn_call *call) {
    return simd_map(call, tanh_grad_span, SIMD_CHEAP);
}

const qn_kernel SIMD_KERNEL(tanh_grad) = {
    .size = sizeof(qn_kernel),
    .op = "tanh_grad",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = tanh_grad_run,
};
