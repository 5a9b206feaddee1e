/* safetensors_dtype.c: how safetensors names and measures what we have, and what others store:
 * types of which each value is one of a type of ours, too. */
#include <string.h>

#include "safetensors.h"

const char *qni_safetensors_dtype(qn_dtype dtype) {
    static const char *const names[QN_DTYPE_COUNT] = {
#define QNI_DTYPE_NAME(name, type, words) #name,
        QN_DTYPE_LIST(QNI_DTYPE_NAME)
#undef QNI_DTYPE_NAME
    };
    return (unsigned)dtype < QN_DTYPE_COUNT ? names[dtype] : "?";
}

/* ---- types of others ------------------------------------------------------------------------- */

/* A number of 16 bits, as it lies. */
static uint16_t half_at(const char *from) {
    uint16_t bits;
    memcpy(&bits, from, sizeof(bits));
    return bits;
}

static float bfloat16_at(const char *from) {
    const uint32_t bits = (uint32_t)half_at(from) << 16;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction. The exponent moves by 2^112, which
 * is exact for denormals, too; infinities and NaN keep the highest one. */
static float float16_at(const char *from) {
    const uint32_t half = half_at(from), magnitude = half & 0x7fff;
    const uint32_t bits = magnitude << 13 | (magnitude >= 0x7c00 ? 0x7f800000u : 0);
    float value;
    memcpy(&value, &bits, sizeof(value));
    if (magnitude < 0x7c00)
        value *= 0x1p112F;
    return half & 0x8000 ? -value : value;
}

/* Each reads value i of `from` and writes it as value i of `to`, which may begin before `from`. */
static void widen_f16(const char *from, char *to) {
    const float value = float16_at(from);
    memcpy(to, &value, sizeof(value));
}
static void widen_bf16(const char *from, char *to) {
    const float value = bfloat16_at(from);
    memcpy(to, &value, sizeof(value));
}
static void widen_i8(const char *from, char *to) {
    const int32_t value = *(const int8_t *)from;
    memcpy(to, &value, sizeof(value));
}
static void widen_i16(const char *from, char *to) {
    const int32_t value = (int16_t)half_at(from);
    memcpy(to, &value, sizeof(value));
}
static void widen_u16(const char *from, char *to) {
    const int32_t value = half_at(from);
    memcpy(to, &value, sizeof(value));
}
static void widen_u32(const char *from, char *to) {
    uint32_t stored;
    memcpy(&stored, from, sizeof(stored));
    const int64_t value = stored;
    memcpy(to, &value, sizeof(value));
}

const qni_stored_type *qni_stored_type_find(const char *name) {
    static const qni_stored_type types[] = {
        {"F32", QN_F32, sizeof(float), NULL},
        {"F64", QN_F64, sizeof(double), NULL},
        {"I32", QN_I32, sizeof(int32_t), NULL},
        {"I64", QN_I64, sizeof(int64_t), NULL},
        {"U8", QN_U8, 1, NULL},
        {"BOOL", QN_U8, 1, NULL},
        {"F16", QN_F32, 2, widen_f16},
        {"BF16", QN_F32, 2, widen_bf16},
        {"I8", QN_I32, 1, widen_i8},
        {"I16", QN_I32, 2, widen_i16},
        {"U16", QN_I32, 2, widen_u16},
        {"U32", QN_I64, 4, widen_u32},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

void qni_stored_widen(const qni_stored_type *type, size_t count, char *data) {
    const size_t width = qn_dtype_bytes(type->dtype);
    const char *from = data + count * (width - type->bytes);
    for (size_t i = 0; type->widen && i < count; i++)
        type->widen(from + i * type->bytes, data + i * width);
}

bool qni_safetensors_bytes(size_t width, qn_shape shape, uint64_t *bytes) {
    int64_t product = (int64_t)width;
    for (int i = 0; i < shape.rank; i++) {
        if (__builtin_mul_overflow(product, shape.dim[i], &product))
            return false;
    }
    *bytes = (uint64_t)product;
    return true;
}
