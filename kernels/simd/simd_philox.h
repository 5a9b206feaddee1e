/* simd_philox.h: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011), V_WIDTH blocks at once. How
 * elements take words is written in kernels/README.md. */
#ifndef QN_SIMD_PHILOX_H
#define QN_SIMD_PHILOX_H

#include "simd.h"

/** Words of a block, and elements that one call of v_philox() serves. */
enum { PHILOX_WORDS = 4, PHILOX_ELEMENTS = PHILOX_WORDS * V_WIDTH };

/** Elements of a task: whole calls of v_philox(). */
enum { PHILOX_PIECE = 8192 };

/** The low and high words of a times the constant b. */
SIMD_INLINE void v_multiply_long(vu a, uint32_t b, vu *low, vu *high) {
    *low = a * b;
#if V_WIDTH == 16
    __m512i factor = _mm512_set1_epi32((int)b);
    __m512i even = _mm512_mul_epu32((__m512i)a, factor);
    __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)a, 32), factor);
    *high = (vu)_mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xaaaa, odd);
#else
    __m256i factor = _mm256_set1_epi32((int)b);
    __m256i even = _mm256_mul_epu32((__m256i)a, factor);
    __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)a, 32), factor);
    *high = (vu)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#endif
}

/** Block counter + offset of stream `key` in each lane: word[w] has word w of each. */
SIMD_INLINE void v_philox_at(uint64_t key, uint64_t counter, vu offset, vu word[PHILOX_WORDS]) {
    vu zero = {0};
    vu x0 = offset + (uint32_t)counter;
    vu x1 = (zero + (uint32_t)(counter >> 32)) - (vu)(x0 < (uint32_t)counter); /* the carry */
    vu x2 = zero, x3 = zero;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        vu low0, high0, low2, high2;
        v_multiply_long(x0, 0xd2511f53u, &low0, &high0);
        v_multiply_long(x2, 0xcd9e8d57u, &low2, &high2);
        x0 = high2 ^ x1 ^ k0;
        x1 = low2;
        x2 = high0 ^ x3 ^ k1;
        x3 = low0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    word[0] = x0;
    word[1] = x1;
    word[2] = x2;
    word[3] = x3;
}

/** Blocks `counter` to counter + V_WIDTH - 1. */
SIMD_INLINE void v_philox(uint64_t key, uint64_t counter, vu word[PHILOX_WORDS]) {
    v_philox_at(key, counter, (vu)v_iota(), word);
}

/** Four vectors, one a word, into the order of elements: block by block. */
SIMD_INLINE void v_interleave(vf x[PHILOX_WORDS]) {
#if V_WIDTH == 16
    __m512 a = _mm512_unpacklo_ps((__m512)x[0], (__m512)x[1]);
    __m512 b = _mm512_unpackhi_ps((__m512)x[0], (__m512)x[1]);
    __m512 c = _mm512_unpacklo_ps((__m512)x[2], (__m512)x[3]);
    __m512 d = _mm512_unpackhi_ps((__m512)x[2], (__m512)x[3]);
    __m512 block0 = _mm512_shuffle_ps(a, c, 0x44); /* blocks 0, 4, 8, 12 */
    __m512 block1 = _mm512_shuffle_ps(a, c, 0xee);
    __m512 block2 = _mm512_shuffle_ps(b, d, 0x44);
    __m512 block3 = _mm512_shuffle_ps(b, d, 0xee);
    __m512 even_low = _mm512_shuffle_f32x4(block0, block1, 0x44); /* 0 4 1 5 */
    __m512 even_high = _mm512_shuffle_f32x4(block0, block1, 0xee);
    __m512 odd_low = _mm512_shuffle_f32x4(block2, block3, 0x44); /* 2 6 3 7 */
    __m512 odd_high = _mm512_shuffle_f32x4(block2, block3, 0xee);
    x[0] = (vf)_mm512_shuffle_f32x4(even_low, odd_low, 0x88);
    x[1] = (vf)_mm512_shuffle_f32x4(even_low, odd_low, 0xdd);
    x[2] = (vf)_mm512_shuffle_f32x4(even_high, odd_high, 0x88);
    x[3] = (vf)_mm512_shuffle_f32x4(even_high, odd_high, 0xdd);
#else
    __m256 a = _mm256_unpacklo_ps((__m256)x[0], (__m256)x[1]);
    __m256 b = _mm256_unpackhi_ps((__m256)x[0], (__m256)x[1]);
    __m256 c = _mm256_unpacklo_ps((__m256)x[2], (__m256)x[3]);
    __m256 d = _mm256_unpackhi_ps((__m256)x[2], (__m256)x[3]);
    __m256 block0 = _mm256_shuffle_ps(a, c, 0x44); /* blocks 0 and 4 */
    __m256 block1 = _mm256_shuffle_ps(a, c, 0xee);
    __m256 block2 = _mm256_shuffle_ps(b, d, 0x44);
    __m256 block3 = _mm256_shuffle_ps(b, d, 0xee);
    x[0] = (vf)_mm256_permute2f128_ps(block0, block1, 0x20);
    x[1] = (vf)_mm256_permute2f128_ps(block2, block3, 0x20);
    x[2] = (vf)_mm256_permute2f128_ps(block0, block1, 0x31);
    x[3] = (vf)_mm256_permute2f128_ps(block2, block3, 0x31);
#endif
}

/** The upper 24 bits of each word, as ints. */
SIMD_INLINE vi v_philox_bits(vu word) { return (vi)(word >> 8); }

/** How many of the V_WIDTH elements from i on lie before `end`. */
SIMD_INLINE int64_t simd_lanes_before(int64_t i, int64_t end) {
    int64_t left = end - i;
    return left < 0 ? 0 : left < V_WIDTH ? left : V_WIDTH;
}

#endif
