/* cuda_sixteen.h: elements of 16 bits as numbers and back, bit for bit as quern_backend.h does it.
 */
#ifndef QN_CUDA_SIXTEEN_H
#define QN_CUDA_SIXTEEN_H

#include "gpu.h"

/** As qn_bf16_from(). */
__device__ inline qn_bf16 sixteen_bf16(float x) {
    const uint32_t bits = __float_as_uint(x);
    const uint32_t nearest = bits + 0x7fffu + (bits >> 16 & 1u);
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return {(uint16_t)((nan ? bits | 0x00400000u : nearest) >> 16)};
}

/** As qn_f16_from(). */
__device__ inline qn_f16 sixteen_f16(float x) {
    const uint32_t bits = __float_as_uint(x);
    const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return {(uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu))};
    if (magnitude >= 0x477ff000u)
        return {(uint16_t)(sign | 0x7c00u)};
    if (magnitude < 0x38800000u)
        return {(uint16_t)(sign | (__float_as_uint(fabsf(x) + 0.5F) - 0x3f000000u))};
    const uint32_t nearest = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return {(uint16_t)(sign | (nearest - 0x38000000u) >> 13)};
}

/** As qn_bf16_value(). */
__device__ inline float sixteen_value(qn_bf16 x) { return __uint_as_float((uint32_t)x.bits << 16); }

/** As qn_f16_value(). */
__device__ inline float sixteen_value(qn_f16 x) {
    const uint32_t magnitude = x.bits & 0x7fffu;
    const float value =
        __uint_as_float(magnitude << 13 | (magnitude >= 0x7c00u ? 0x7f800000u : 0u)) *
        (magnitude < 0x7c00u ? 0x1p112F : 1.0F);
    return x.bits & 0x8000u ? -value : value;
}

#endif
