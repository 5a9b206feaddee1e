/* mse_simd.c: squared error of each element, (p - t)^2. */
#include "simd_map.h"

SIMD_INLINE vf mse_body(vf p, vf t) { return (p - t) * (p - t); }

static void mse_span(const simd_span *span) { simd_binary(span, mse_body); }

static qn_status mse_run(const qn_call *call) { return simd_map(call, mse_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(mse) = {
    .size = sizeof(qn_kernel),
    .op = "mse",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = mse_run,
};
