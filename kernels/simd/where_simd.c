/* where_simd.c: y = condition (u8) ? a : b, for any dtype of four bytes. */
#include "simd_map.h"

#include <string.h>

static const char *where_declines(const qn_call *call) {
    return qn_dtype_size(call->in[QN_WHERE_A].dtype) == sizeof(float) ? NULL
                                                                      : "dtypes of four bytes only";
}

static void where_span(const simd_span *span) {
    const simd_span s = *span;
    const uint8_t *condition = s.in[QN_WHERE_CONDITION];
    float *out = s.out;
    int64_t i = 0;
    for (; i + V_WIDTH <= s.count; i += V_WIDTH)
        v_store(out + i, v_select(v_load_bytes(condition + i * s.step[0]) != 0,
                                  simd_span_load(&s, 1, i), simd_span_load(&s, 2, i)));
    int64_t rest = s.count - i;
    if (rest > 0) {
        uint8_t last[V_WIDTH] = {0};
        memcpy(last, condition + i * s.step[0], (size_t)rest);
        v_store_part(out + i,
                     v_select(v_load_bytes(last) != 0, simd_span_load_part(&s, 1, i, rest),
                              simd_span_load_part(&s, 2, i, rest)),
                     rest);
    }
}

static qn_status where_run(const qn_call *call) { return simd_map(call, where_span, SIMD_CHEAP); }

const qn_kernel SIMD_KERNEL(where) = {
    .size = sizeof(qn_kernel),
    .op = "where",
    .declines = where_declines,
    .workspace = simd_map_workspace,
    .run = where_run,
};
