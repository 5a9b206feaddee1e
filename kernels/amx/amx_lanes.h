/* amx_lanes.h: sixteen numbers at a time, on one vector of AVX-512 or on two of AVX2.
 *
 * Every processor with AMX has AVX-512. The other form is for tests, which execute AMX's
 * instructions where there is neither (tests/amx). */
#ifndef QN_AMX_LANES_H
#define QN_AMX_LANES_H

#include <immintrin.h>
#include <stdint.h>

#define LANES_INLINE static inline __attribute__((always_inline))

/** Names of what is compiled for both: AMX_NAME(pack) is qnk_amx_pack_avx512, say. */
#define AMX_JOIN_(a, b, c) a##b##c
#define AMX_JOIN(a, b, c) AMX_JOIN_(a, b, c)
#define AMX_NAME(name) AMX_JOIN(qnk_amx_##name, _, AMX_ISA)

enum { LANES = 16 };

#ifdef __AVX512F__

typedef __m512 lane_floats;
typedef __m512i lane_ints;
typedef __mmask16 lane_mask;

LANES_INLINE lane_floats lanes_zero(void) { return _mm512_setzero_ps(); }

LANES_INLINE lane_ints lanes_load_ints(const int32_t *p) { return _mm512_loadu_si512(p); }

/** Lanes from `from` to before `to`. */
LANES_INLINE lane_mask lanes_between(int from, int to) {
    return (lane_mask)((1u << to) - (1u << from));
}

/** What lies at p and behind it; 0 in the other lanes, which are not read. */
LANES_INLINE lane_floats lanes_load(const float *p, lane_mask mask) {
    return _mm512_maskz_loadu_ps(mask, p);
}

/** Writes the lanes of the mask to p and behind it. */
LANES_INLINE void lanes_store(float *p, lane_floats x, lane_mask mask) {
    _mm512_mask_storeu_ps(p, mask, x);
}

/** max(x, 0), NaN and -0 stay. */
LANES_INLINE lane_floats lanes_relu(lane_floats x) { return _mm512_max_ps(_mm512_setzero_ps(), x); }

/** What lies at p[offset]. */
LANES_INLINE lane_floats lanes_gather(const float *p, lane_ints offset, lane_mask mask) {
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, offset, p, sizeof(float));
}

/** qn_bf16_bits() in the upper halves. */
LANES_INLINE __m512i lanes_nearest(lane_floats x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i even = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), even);
    const __mmask16 tiny = _mm512_testn_epi32_mask(bits, _mm512_set1_epi32(0x7f800000));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i flushed =
        _mm512_mask_and_epi32(rounded, tiny, bits, _mm512_set1_epi32(INT32_MIN));
    return _mm512_mask_or_epi32(flushed, nan, bits, _mm512_set1_epi32(0x00400000));
}

/** Stores sixteen rounded numbers in their order. */
LANES_INLINE void lanes_store_row(uint16_t *to, lane_floats x) {
    const __m512i bits = _mm512_srli_epi32(lanes_nearest(x), 16);
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi32_epi16(bits));
}

/** Stores sixteen pairs, of an even and an odd number each. */
LANES_INLINE void lanes_store_pairs(uint16_t *to, lane_floats even, lane_floats odd) {
    const __m512i low = _mm512_srli_epi32(lanes_nearest(even), 16);
    _mm512_storeu_si512(to, _mm512_mask_blend_epi16(0xaaaaaaaa, low, lanes_nearest(odd)));
}

#else

typedef struct lane_floats {
    __m256 low, high;
} lane_floats;

typedef struct lane_ints {
    __m256i low, high;
} lane_ints;

typedef lane_ints lane_mask; /* all bits of a lane */

LANES_INLINE lane_floats lanes_zero(void) {
    return (lane_floats){_mm256_setzero_ps(), _mm256_setzero_ps()};
}

LANES_INLINE lane_ints lanes_load_ints(const int32_t *p) {
    return (lane_ints){_mm256_loadu_si256((const __m256i *)p),
                       _mm256_loadu_si256((const __m256i *)(p + 8))};
}

LANES_INLINE __m256i lanes_half_between(__m256i number, int from, int to) {
    return _mm256_and_si256(_mm256_cmpgt_epi32(number, _mm256_set1_epi32(from - 1)),
                            _mm256_cmpgt_epi32(_mm256_set1_epi32(to), number));
}

LANES_INLINE lane_mask lanes_between(int from, int to) {
    const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return (lane_mask){lanes_half_between(low, from, to),
                       lanes_half_between(_mm256_add_epi32(low, _mm256_set1_epi32(8)), from, to)};
}

LANES_INLINE lane_floats lanes_load(const float *p, lane_mask mask) {
    return (lane_floats){_mm256_maskload_ps(p, mask.low), _mm256_maskload_ps(p + 8, mask.high)};
}

LANES_INLINE void lanes_store(float *p, lane_floats x, lane_mask mask) {
    _mm256_maskstore_ps(p, mask.low, x.low);
    _mm256_maskstore_ps(p + 8, mask.high, x.high);
}

LANES_INLINE lane_floats lanes_relu(lane_floats x) {
    return (lane_floats){_mm256_max_ps(_mm256_setzero_ps(), x.low),
                         _mm256_max_ps(_mm256_setzero_ps(), x.high)};
}

LANES_INLINE lane_floats lanes_gather(const float *p, lane_ints offset, lane_mask mask) {
    const __m256 zero = _mm256_setzero_ps();
    return (lane_floats){
        _mm256_mask_i32gather_ps(zero, p, offset.low, _mm256_castsi256_ps(mask.low), sizeof(float)),
        _mm256_mask_i32gather_ps(zero, p, offset.high, _mm256_castsi256_ps(mask.high),
                                 sizeof(float))};
}

LANES_INLINE __m256i lanes_half_nearest(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(INT32_MAX));
    const __m256i even = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), even);
    const __m256i sign = _mm256_xor_si256(bits, magnitude);
    const __m256i tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x00800000), magnitude);
    const __m256i nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f800000));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
    return _mm256_blendv_epi8(_mm256_blendv_epi8(rounded, sign, tiny), quiet, nan);
}

LANES_INLINE void lanes_store_row(uint16_t *to, lane_floats x) {
    const __m256i low = _mm256_srli_epi32(lanes_half_nearest(x.low), 16);
    const __m256i high = _mm256_srli_epi32(lanes_half_nearest(x.high), 16);
    _mm256_storeu_si256((__m256i *)to,
                        _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8));
}

LANES_INLINE __m256i lanes_half_pairs(__m256 even, __m256 odd) {
    return _mm256_blend_epi16(_mm256_srli_epi32(lanes_half_nearest(even), 16),
                              lanes_half_nearest(odd), 0xaa);
}

LANES_INLINE void lanes_store_pairs(uint16_t *to, lane_floats even, lane_floats odd) {
    _mm256_storeu_si256((__m256i *)to, lanes_half_pairs(even.low, odd.low));
    _mm256_storeu_si256((__m256i *)(to + LANES), lanes_half_pairs(even.high, odd.high));
}

#endif

/** What lies at p, p + step, ... */
LANES_INLINE lane_floats lanes_load_steps(const float *p, int64_t step, lane_mask mask) {
    if (step == 1)
        return lanes_load(p, mask);
    int32_t offset[LANES];
    for (int i = 0; i < LANES; i++)
        offset[i] = i * (int32_t)step;
    return lanes_gather(p, lanes_load_ints(offset), mask);
}

/* ---- exchanging rows and columns ------------------------------------------------------------- */

LANES_INLINE __m256 lanes_eight_words(const uint16_t *from) {
    return _mm256_loadu_ps((const float *)from);
}

LANES_INLINE void lanes_turn_block(const uint16_t *from, int64_t from_pitch, uint16_t *to,
                                   int64_t to_pitch) {
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        const __m256 even = lanes_eight_words(from + i * from_pitch);
        const __m256 odd = lanes_eight_words(from + (i + 1) * from_pitch);
        a[i] = _mm256_unpacklo_ps(even, odd);
        a[i + 1] = _mm256_unpackhi_ps(even, odd);
    }
    for (int i = 0; i < 8; i += 4)
        for (int half = 0; half < 2; half++) {
            b[i + 2 * half] = _mm256_shuffle_ps(a[i + half], a[i + half + 2], 0x44);
            b[i + 2 * half + 1] = _mm256_shuffle_ps(a[i + half], a[i + half + 2], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps((float *)(to + i * to_pitch),
                         _mm256_permute2f128_ps(b[i], b[i + 4], 0x20));
        _mm256_storeu_ps((float *)(to + (i + 4) * to_pitch),
                         _mm256_permute2f128_ps(b[i], b[i + 4], 0x31));
    }
}

/** Exchanges rows and columns of 16 by 16 words, pairs of bfloat16; rows are `pitch` numbers of
 * those apart. */
LANES_INLINE void lanes_turn(const uint16_t *from, int64_t from_pitch, uint16_t *to,
                             int64_t to_pitch) {
    enum { HALF = 8, WORD = 2 };
    for (int row = 0; row < 2 * HALF; row += HALF)
        for (int col = 0; col < 2 * HALF; col += HALF)
            lanes_turn_block(from + row * from_pitch + col * WORD, from_pitch,
                             to + col * to_pitch + row * WORD, to_pitch);
}

#endif
