/* safetensors_dtype.c: how safetensors names and measures what we have. */
#include "safetensors.h"

const char *qni_safetensors_dtype(qn_dtype dtype) {
    static const char *const names[QN_DTYPE_COUNT] = {
#define QNI_DTYPE_NAME(name, type, words) #name,
        QN_DTYPE_LIST(QNI_DTYPE_NAME)
#undef QNI_DTYPE_NAME
    };
    return (unsigned)dtype < QN_DTYPE_COUNT ? names[dtype] : "?";
}

bool qni_safetensors_bytes(qn_dtype dtype, qn_shape shape, uint64_t *bytes) {
    int64_t product = (int64_t)qn_dtype_bytes(dtype);
    for (int i = 0; i < shape.rank; i++) {
        if (__builtin_mul_overflow(product, shape.dim[i], &product))
            return false;
    }
    *bytes = (uint64_t)product;
    return true;
}
