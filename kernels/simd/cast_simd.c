/* cast_simd.c: conversions to f32 from every dtype, and from f32 to f64. The loops are plain: the
 * compiler turns them into the conversion instructions of the set it compiles for. */
#include "simd_map.h"

/* Name, and from which dtype to which; all are exact or round to nearest. */
#define CAST_LIST(X)                                                                               \
    X(u8_to_f32, QN_U8, uint8_t, QN_F32, float)                                                    \
    X(i32_to_f32, QN_I32, int32_t, QN_F32, float)                                                  \
    X(i64_to_f32, QN_I64, int64_t, QN_F32, float)                                                  \
    X(f64_to_f32, QN_F64, double, QN_F32, float)                                                   \
    X(f32_to_f64, QN_F32, float, QN_F64, double)                                                   \
    X(u8_to_f64, QN_U8, uint8_t, QN_F64, double)                                                   \
    X(u8_to_i32, QN_U8, uint8_t, QN_I32, int32_t)                                                  \
    X(u8_to_i64, QN_U8, uint8_t, QN_I64, int64_t)                                                  \
    X(i32_to_i64, QN_I32, int32_t, QN_I64, int64_t)

#define DEFINE(name, from, from_type, to, to_type)                                                 \
    static void name(const simd_span *span) {                                                      \
        const from_type *in = span->in[0];                                                         \
        to_type *out = span->out;                                                                  \
        if (span->step[0] == 1)                                                                    \
            for (int64_t i = 0; i < span->count; i++)                                              \
                out[i] = (to_type)in[i];                                                           \
        else                                                                                       \
            for (int64_t i = 0; i < span->count; i++)                                              \
                out[i] = (to_type)in[0];                                                           \
    }
CAST_LIST(DEFINE)
#undef DEFINE

static simd_span_function cast_function(const qn_call *call) {
#define CHOOSE(name, from, from_type, to, to_type)                                                 \
    if (call->in[0].dtype == from && call->out[0].dtype == to)                                     \
        return name;
    CAST_LIST(CHOOSE)
#undef CHOOSE
    return NULL;
}

static const char *cast_declines(const qn_call *call) {
    return cast_function(call) ? NULL : "conversions without range checks only";
}

static qn_status cast_run(const qn_call *call) {
    return simd_map(call, cast_function(call), SIMD_CHEAP);
}

const qn_kernel SIMD_KERNEL(cast) = {
    .size = sizeof(qn_kernel),
    .op = "cast",
    .declines = cast_declines,
    .workspace = simd_map_workspace,
    .run = cast_run,
    .attrs_size = sizeof(qn_cast_attrs),
};
