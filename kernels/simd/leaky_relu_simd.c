/* leaky_relu_simd.c: y = x above 0, slope x below; and its gradient. */
#include "simd_map.h"

SIMD_INLINE vf leaky_relu_body(vf x, vf slope) { return v_select(x > 0.0f, x, slope * x); }

static void leaky_relu_span(const simd_span *span) { simd_binary(span, leaky_relu_body); }

static qn_status leaky_relu_run(const qn_call *call) {
    const qn_scalar_attrs *attrs = call->attrs;
    return simd_map_with(call, leaky_relu_span, SIMD_CHEAP, 1, &attrs->value);
}

const qn_kernel SIMD_KERNEL(leaky_relu) = {
    .size = sizeof(qn_kernel),
    .op = "leaky_relu",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = leaky_relu_run,
    .attrs_size = sizeof(qn_scalar_attrs),
};

SIMD_INLINE vf leaky_relu_grad_body(vf g, vf x, vf slope) {
    return v_select(x > 0.0f, g, slope * g);
}

static void leaky_relu_grad_span(const simd_span *span) {
    simd_ternary(span, leaky_relu_grad_body);
}

static qn_status leaky_relu_grad_run(const qn_call *call) {
    const qn_scalar_attrs *attrs = call->attrs;
    return simd_map_with(call, leaky_relu_grad_span, SIMD_CHEAP, 1, &attrs->value);
}

const qn_kernel SIMD_KERNEL(leaky_relu_grad) = {
    .size = sizeof(qn_kernel),
    .op = "leaky_relu_grad",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = leaky_relu_grad_run,
    .attrs_size = sizeof(qn_scalar_attrs),
};
