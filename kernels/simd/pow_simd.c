/* pow_simd.c: y = a^b. Squares are multiplied; all else is the C library's powf, element by
 * element, whose special cases are many and whose accuracy a vector logarithm in f32 would not
 * reach. */
#include "simd_map.h"

#include <math.h>

SIMD_INLINE vf square_body(vf a) { return a * a; }

static void pow_span(const simd_span *span) {
    const float *a = span->in[0], *b = span->in[1];
    if (span->step[1] == 0 && b[0] == 2.0f) {
        simd_unary(span, square_body);
        return;
    }
    float *out = span->out;
    for (int64_t i = 0; i < span->count; i++)
        out[i] = powf(a[i * span->step[0]], b[i * span->step[1]]);
}

static qn_status pow_run(const qn_call *call) { return simd_map(call, pow_span, SIMD_COSTLY); }

const qn_kernel SIMD_KERNEL(pow) = {
    .size = sizeof(qn_kernel),
    .op = "pow",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = pow_run,
};
