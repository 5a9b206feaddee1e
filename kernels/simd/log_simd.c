/* log_simd.c: y = ln x. */
#include "simd_map.h"
#include "simd_math.h"

static void log_span(const simd_span *span) { simd_unary(span, v_log); }

static qn_status log_run(const qn_call *call) { return simd_map(call, log_span, SIMD_COSTLY); }

const qn_kernel SIMD_KERNEL(log) = {
    .size = sizeof(qn_kernel),
    .op = "log",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = log_run,
};
