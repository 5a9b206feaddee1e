/* affine_simd.c: y = scale x + shift. */
#include "simd_map.h"

SIMD_INLINE vf affine_body(vf x, vf scale, vf shift) { return v_fma(x, scale, shift); }

static void affine_span(const simd_span *span) { simd_ternary(span, affine_body); }

static qn_status affine_run(const qn_call *call) {
    const qn_affine_attrs *attrs = call->attrs;
    const double parameters[] = {attrs->scale, attrs->shift};
    return simd_map_with(call, affine_span, SIMD_CHEAP, 2, parameters);
}

const qn_kernel SIMD_KERNEL(affine) = {
    .size = sizeof(qn_kernel),
    .op = "affine",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = affine_run,
    .attrs_size = sizeof(qn_affine_attrs),
};
