/* mae_simd.c: absolute error of each element, |p - t|. */
#include "simd_map.h"

SIMD_INLINE vf mae_body(vf p, vf t) { return v_abs(p - t); }

static void mae_span(const simd_span *span) { simd_binary(span, mae_body); }

static qn_status mae_run(const qn_call *call) { return simd_map(call, mae_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(mae) = {
    .size = sizeof(qn_kernel),
    .op = "mae",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = mae_run,
};
