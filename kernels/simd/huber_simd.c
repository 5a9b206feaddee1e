/* huber_simd.c: d = |p - t|: d^2 / 2 up to delta, delta (d - delta / 2) beyond (Huber 1964). */
#include "simd_map.h"

SIMD_INLINE vf huber_body(vf p, vf t, vf delta) {
    vf d = v_abs(p - t);
    return v_select(d <= delta, 0.5f * d * d, delta * (d - 0.5f * delta));
}

static void huber_span(const simd_span *span) { simd_ternary(span, huber_body); }

static qn_status huber_run(const qn_call *call) {
    const qn_scalar_attrs *attrs = call->attrs;
    return simd_map_with(call, huber_span, SIMD_CHEAP, 1, &attrs->value);
}

const qn_kernel SIMD_KERNEL(huber) = {
    .size = sizeof(qn_kernel),
    .op = "huber",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = huber_run,
    .attrs_size = sizeof(qn_scalar_attrs),
};
