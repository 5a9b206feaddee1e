/* clamp_simd.c: y = min(max(x, low), high), NaN stays; and its gradient. */
#include "simd_map.h"

SIMD_INLINE vf clamp_body(vf x, vf low, vf high) { return v_min(high, v_max(low, x)); }

static void clamp_span(const simd_span *span) { simd_ternary(span, clamp_body); }

static qn_status clamp_run(const qn_call *call) {
    const qn_range_attrs *attrs = call->attrs;
    const double parameters[] = {attrs->low, attrs->high};
    return simd_map_with(call, clamp_span, SIMD_CHEAP, 2, parameters);
}

const qn_kernel SIMD_KERNEL(clamp) = {
    .size = sizeof(qn_kernel),
    .op = "clamp",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = clamp_run,
    .attrs_size = sizeof(qn_range_attrs),
};

SIMD_INLINE vf clamp_grad_body(vf g, vf x, vf low, vf high) {
    vi inside = (x >= low) & (x <= high);
    return v_select(inside, g, v_set(0.0f));
}

static void clamp_grad_span(const simd_span *span) { simd_quaternary(span, clamp_grad_body); }

static qn_status clamp_grad_run(const qn_call *call) {
    const qn_range_attrs *attrs = call->attrs;
    const double parameters[] = {attrs->low, attrs->high};
    return simd_map_with(call, clamp_grad_span, SIMD_CHEAP, 2, parameters);
}

const qn_kernel SIMD_KERNEL(clamp_grad) = {
    .size = sizeof(qn_kernel),
    .op = "clamp_grad",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = clamp_grad_run,
    .attrs_size = sizeof(qn_range_attrs),
};
