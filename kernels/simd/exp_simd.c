/* exp_simd.c: y = e^x. */
#include "simd_map.h"
#include "simd_math.h"

static void exp_span(const simd_span *span) { simd_unary(span, v_exp); }

static qn_status exp_run(const qn_call *call) { return simd_map(call, exp_span, SIMD_COSTLY); }

const qn_kernel SIMD_KERNEL(exp) = {
    .size = sizeof(qn_kernel),
    .op = "exp",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = exp_run,
};
