/* simd_map.h: elementwise kernels.
 *
 * simd_map() turns operands of any strides into spans: runs of output elements whose inputs are
 * contiguous, or one repeated value. An operation gives a body (vectors in, vector out), and a span
 * function that runs it by one of the templates below; the template is inlined into the span
 * function, and the body into the template, so each span is one tight loop.
 *
 * Parameters of an operation (a slope, say) arrive as further inputs that repeat one value. */
#ifndef QN_SIMD_MAP_H
#define QN_SIMD_MAP_H

#include "simd.h"

/** Most inputs of an elementwise operation, parameters included. */
#define SIMD_MAP_INPUTS 4

/** A run of output elements. Input k has element i at in[k] + i * step[k]; where step[k] is 0 a
 * whole vector of the one value lies there. */
typedef struct simd_span {
    int64_t count;
    void *out;
    const void *in[SIMD_MAP_INPUTS];
    int64_t step[SIMD_MAP_INPUTS];
} simd_span;

typedef void (*simd_span_function)(const simd_span *span);

/* What an element costs, in units of an addition: decides from which size on threads pay. */
enum { SIMD_CHEAP = 1, SIMD_COSTLY = 8 };

#define simd_map SIMD_NAME(map_)
#define simd_map_workspace SIMD_NAME(map_workspace_)
#define simd_map_with SIMD_NAME(map_with_)

/** Runs an elementwise operation on the call's inputs and first output. */
qn_status simd_map(const qn_call *call, simd_span_function function, int cost);

/** The same with `count` parameters behind the inputs. */
qn_status simd_map_with(const qn_call *call, simd_span_function function, int cost, int count,
                        const double *parameters);

/** For qn_kernel.workspace of every elementwise kernel: room for contiguous copies of large inputs
 * that a walk in the output's order would read with a stride. */
size_t simd_map_workspace(const qn_call *call);

/** For qn_kernel.declines: serves calls whose first input is f32. */
static inline const char *simd_f32_only(const qn_call *call) {
    return call->in[0].dtype == QN_F32 ? NULL : "f32 only";
}

/** Input k of a span from element i on. */
SIMD_INLINE vf simd_span_load(const simd_span *span, int k, int64_t i) {
    return v_load((const float *)span->in[k] + i * span->step[k]);
}

SIMD_INLINE vf simd_span_load_part(const simd_span *span, int k, int64_t i, int64_t count) {
    return v_load_part((const float *)span->in[k] + i * span->step[k], count);
}

/* Templates: out = body(inputs), for one to four f32 inputs. */

SIMD_INLINE void simd_unary(const simd_span *span, vf (*body)(vf)) {
    const simd_span s = *span;
    float *out = s.out;
    int64_t i = 0;
    for (; i + V_WIDTH <= s.count; i += V_WIDTH)
        v_store(out + i, body(simd_span_load(&s, 0, i)));
    if (i < s.count)
        v_store_part(out + i, body(simd_span_load_part(&s, 0, i, s.count - i)), s.count - i);
}

SIMD_INLINE void simd_binary(const simd_span *span, vf (*body)(vf, vf)) {
    const simd_span s = *span;
    float *out = s.out;
    int64_t i = 0;
    for (; i + V_WIDTH <= s.count; i += V_WIDTH)
        v_store(out + i, body(simd_span_load(&s, 0, i), simd_span_load(&s, 1, i)));
    int64_t rest = s.count - i;
    if (rest > 0)
        v_store_part(out + i,
                     body(simd_span_load_part(&s, 0, i, rest), simd_span_load_part(&s, 1, i, rest)),
                     rest);
}

SIMD_INLINE void simd_ternary(const simd_span *span, vf (*body)(vf, vf, vf)) {
    const simd_span s = *span;
    float *out = s.out;
    int64_t i = 0;
    for (; i + V_WIDTH <= s.count; i += V_WIDTH)
        v_store(out + i,
                body(simd_span_load(&s, 0, i), simd_span_load(&s, 1, i), simd_span_load(&s, 2, i)));
    int64_t rest = s.count - i;
    if (rest > 0)
        v_store_part(out + i,
                     body(simd_span_load_part(&s, 0, i, rest), simd_span_load_part(&s, 1, i, rest),
                          simd_span_load_part(&s, 2, i, rest)),
                     rest);
}

SIMD_INLINE void simd_quaternary(const simd_span *span, vf (*body)(vf, vf, vf, vf)) {
    const simd_span s = *span;
    float *out = s.out;
    int64_t i = 0;
    for (; i + V_WIDTH <= s.count; i += V_WIDTH)
        v_store(out + i, body(simd_span_load(&s, 0, i), simd_span_load(&s, 1, i),
                              simd_span_load(&s, 2, i), simd_span_load(&s, 3, i)));
    int64_t rest = s.count - i;
    if (rest > 0)
        v_store_part(out + i,
                     body(simd_span_load_part(&s, 0, i, rest), simd_span_load_part(&s, 1, i, rest),
                          simd_span_load_part(&s, 2, i, rest), simd_span_load_part(&s, 3, i, rest)),
                     rest);
}

/** out (u8) = 1 where mask(a, b) is set, else 0. */
SIMD_INLINE void simd_compare(const simd_span *span, vi (*mask)(vf, vf)) {
    const simd_span s = *span;
    uint8_t *out = s.out;
    int64_t i = 0;
    for (; i + V_WIDTH <= s.count; i += V_WIDTH)
        v_store_bytes(out + i, mask(simd_span_load(&s, 0, i), simd_span_load(&s, 1, i)) & 1);
    int64_t rest = s.count - i;
    vi last = {0};
    if (rest > 0)
        last = mask(simd_span_load_part(&s, 0, i, rest), simd_span_load_part(&s, 1, i, rest)) & 1;
    for (int64_t lane = 0; lane < rest; lane++)
        out[i + lane] = (uint8_t)last[lane];
}

#endif
