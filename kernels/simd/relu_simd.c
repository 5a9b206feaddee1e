/* relu_simd.c: y = max(x, 0), NaN stays; and its gradient. */
#include "simd_map.h"

SIMD_INLINE vf relu_body(vf x) { return v_max(v_set(0.0f), x); }

static void relu_span(const simd_span *span) { simd_unary(span, relu_body); }

static qn_status relu_run(const qn_call *call) { return simd_map(call, relu_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(relu) = {
    .size = sizeof(qn_kernel),
    .op = "relu",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = relu_run,
};

/* g where x, and so y, is above 0. */
SIMD_INLINE vf relu_grad_body(vf g, vf y) { return v_select(y > 0.0f, g, v_set(0.0f)); }

static void relu_grad_span(const simd_span *span) { simd_binary(span, relu_grad_body); }

static qn_status relu_grad_run(const qn_call *call) {
    return simd_map(call, relu_grad_span, SIMD_CHEAP);
}

const qn_kernel SIMD_KERNEL(relu_grad) = {
    .size = sizeof(qn_kernel),
    .op = "relu_grad",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = relu_grad_run,
};
