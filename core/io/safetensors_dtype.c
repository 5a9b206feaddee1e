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
static uint16_t bits_at(const char *from) {
    uint16_t bits;
    memcpy(&bits, from, sizeof(bits));
    return bits;
}

/* Each reads value i of `from` and writes it as value i of `to`, which may begin before `from`. */
static void widen_f16(const char *from, char *to) {
    const float value = (float)qn_element_get(QN_F16, from, 0);
    memcpy(to, &value, sizeof(value));
}
static void widen_bf16(const char *from, char *to) {
    const float value = (float)qn_element_get(QN_BF16, from, 0);
    memcpy(to, &value, sizeof(value));
}
static void widen_i8(const char *from, char *to) {
    const int32_t value = *(const int8_t *)from;
    memcpy(to, &value, sizeof(value));
}
static void widen_i16(const char *from, char *to) {
    const int32_t value = (int16_t)bits_at(from);
    memcpy(to, &value, sizeof(value));
}
static void widen_u16(const char *from, char *to) {
    const int32_t value = bits_at(from);
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
        {"F32", QN_F32, sizeof(float), NULL, NULL},
        {"F64", QN_F64, sizeof(double), NULL, NULL},
        {"I32", QN_I32, sizeof(int32_t), NULL, NULL},
        {"I64", QN_I64, sizeof(int64_t), NULL, NULL},
        {"U8", QN_U8, 1, NULL, NULL},
        {"BOOL", QN_U8, 1, NULL, NULL},
        {"F16", QN_F16, sizeof(qn_f16), NULL, widen_f16},
        {"BF16", QN_BF16, sizeof(qn_bf16), NULL, widen_bf16},
        {"I8", QN_I32, 1, widen_i8, NULL},
        {"I16", QN_I32, 2, widen_i16, NULL},
        {"U16", QN_I32, 2, widen_u16, NULL},
        {"U32", QN_I64, 4, widen_u32, NULL},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

bool qni_stored_as(const qni_stored_type *type, qn_dtype dtype) {
    return dtype == type->dtype || (dtype == QN_F32 && type->to_f32);
}

void qni_stored_widen(const qni_stored_type *type, qn_dtype dtype, size_t count, char *data) {
    void (*const widen)(const char *, char *) = dtype == type->dtype ? type->widen : type->to_f32;
    const size_t width = qn_dtype_bytes(dtype);
    const char *from = data + count * (width - type->bytes);
    for (size_t i = 0; widen && i < count; i++)
        widen(from + i * type->bytes, data + i * width);
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
