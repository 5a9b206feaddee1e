/* quern/types.h: the types that a program and a backend both speak.
 *
 * Included by quern.h (what a program may call) and by quern_backend.h (what a backend or a kernel
 * may know). Nothing here needs linking. */
#ifndef QUERN_TYPES_H
#define QUERN_TYPES_H

#include <stddef.h>
#include <stdint.h>

/** Most axes a tensor may have. */
#define QN_MAX_DIMS 6

/* Every status: name, and what it means in words. The value is the position; QN_OK is 0. */
#define QN_STATUS_LIST(X)                                                                          \
    X(OK, "success")                                                                               \
    X(INVALID_ARGUMENT, "invalid argument")                                                        \
    X(SHAPE_MISMATCH, "shapes do not fit")                                                         \
    X(DTYPE_MISMATCH, "dtype does not fit")                                                        \
    X(OUT_OF_MEMORY, "out of memory")                                                              \
    X(IO_ERROR, "cannot read or write")                                                            \
    X(BAD_FORMAT, "malformed data")                                                                \
    X(NOT_DIFFERENTIABLE, "has no derivative")                                                     \
    X(UNSUPPORTED, "not supported")                                                                \
    X(DEVICE_ERROR, "device failed")                                                               \
    X(INTERRUPTED, "interrupted")                                                                  \
    X(INTERNAL_ERROR, "internal error")

/** What a call came to. The words for each are given by qn_status_string(). */
typedef enum qn_status {
#define QN_STATUS_ENUM(name, words) QN_##name,
    QN_STATUS_LIST(QN_STATUS_ENUM)
#undef QN_STATUS_ENUM
} qn_status;

/** Numbers of 16 bits, which C cannot calculate with: qn_bf16_from() and its kin (quern_backend.h)
 * convert. bfloat16 is the upper half of an f32: 8 bits of exponent, 7 of fraction. */
typedef struct qn_bf16 {
    uint16_t bits;
} qn_bf16;
/** IEEE 754 binary16: 5 bits of exponent, 10 of fraction, 65504 at most. */
typedef struct qn_f16 {
    uint16_t bits;
} qn_f16;

/* Every element type: name, C type, name in words (NumPy's and safetensors' conventions). */
#define QN_DTYPE_LIST(X)                                                                           \
    X(F32, float, "f32")                                                                           \
    X(F64, double, "f64")                                                                          \
    X(I32, int32_t, "i32")                                                                         \
    X(I64, int64_t, "i64")                                                                         \
    X(U8, uint8_t, "u8")                                                                           \
    X(BF16, qn_bf16, "bf16")                                                                       \
    X(F16, qn_f16, "f16")

/** Element type of a tensor. Comparisons give QN_U8 (0 or 1); class indices are QN_I64. */
typedef enum qn_dtype {
#define QN_DTYPE_ENUM(name, type, words) QN_##name,
    QN_DTYPE_LIST(QN_DTYPE_ENUM)
#undef QN_DTYPE_ENUM
        QN_DTYPE_COUNT
} qn_dtype;

/** How matrix products and convolutions of f32 tensors read their operands; sums are f32 in all of
 * them. */
typedef enum qn_precision {
    QN_PRECISION_F32,  /**< as they are */
    QN_PRECISION_TF32, /**< rounded to 10 bits of mantissa, exponent of f32 */
    QN_PRECISION_BF16, /**< rounded to bfloat16: 7 bits of mantissa, exponent of f32 */
    QN_PRECISION_F16   /**< rounded to IEEE half precision: 10 bits of mantissa, largest 65504 */
} qn_precision;

/** Positions in the `hyper` tensor, of the parameters' dtype, that every optimizer step reads. It
 * lies in device memory so that a replayed step sees new values. */
enum qn_hyper {
    QN_HYPER_LR,   /**< learning rate of this step */
    QN_HYPER_STEP, /**< number of this step, from 1 */
    QN_HYPER_CLIP, /**< factor on the gradient (from clipping by norm, or a scaled loss), 1 for none
                    */
    QN_HYPER_SKIP, /**< not 0: the step is left out (the gradients of a scaled loss overflowed) */
    QN_HYPER_COUNT
};

#endif
