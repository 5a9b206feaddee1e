/* simd.h: the vectors that every kernel of this folder is written in.
 *
 * One source serves two instruction sets: each file is compiled with -march=x86-64-v3 -DQN_ISA=avx2
 * (8 floats a vector) and again with -march=x86-64-v4 -DQN_ISA=avx512 (16 floats a vector). Vectors
 * are the compiler's own (vector_size), so + - * / and comparisons are written as for scalars;
 * intrinsics appear only here, for what the language cannot say.
 *
 * Conventions: v_ names take or give vectors. A mask is a vi whose lanes are 0 or -1, as
 * comparisons give it. "part" names handle the first `count` lanes, 0 <= count <=
 * V_WIDTH, and do not touch memory behind them. Everything is deterministic: horizontal
 * sums add in a fixed order. */
#ifndef QN_SIMD_H
#define QN_SIMD_H

#include <immintrin.h>

#include "cpu_numbers.h"
#include "quern_backend.h"

#ifndef QN_ISA
#error "compile with -DQN_ISA=avx2 or -DQN_ISA=avx512"
#endif

#define SIMD_JOIN_(a, b, c) a##b##c
#define SIMD_JOIN(a, b, c) SIMD_JOIN_(a, b, c)

/** The kernel of operation `op` for the instruction set compiled for: qnk_avx2_relu, say. */
#define SIMD_KERNEL(op) SIMD_JOIN(SIMD_KERNEL_, QN_ISA, )(op)
#define SIMD_KERNEL_avx2(op) qnk_avx2_##op
#define SIMD_KERNEL_avx512(op) qnk_avx512_##op

/** A function shared between files: both instruction sets link into one library, so it carries the
 * set's name too. */
#define SIMD_NAME(name) SIMD_KERNEL(name)

#define SIMD_WIDTH_avx2 8
#define SIMD_WIDTH_avx512 16
/** Floats in a vector: 8 or 16. */
#define V_WIDTH SIMD_JOIN(SIMD_WIDTH_, QN_ISA, )

/** For small functions whose value is that they vanish into their caller. */
#define SIMD_INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(4 * V_WIDTH)));   /**< floats */
typedef int32_t vi __attribute__((vector_size(4 * V_WIDTH))); /**< ints, and masks */

/* Lanes of two vectors in another order: lane i is element index[i] of x followed by y. gcc before
 * 12 knows this by another name. */
#if defined(__clang__) || __GNUC__ >= 12
#define V_SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define V_SHUFFLE(x, y, ...) __builtin_shuffle(x, y, (vi){__VA_ARGS__})
#endif
typedef uint32_t vu __attribute__((vector_size(4 * V_WIDTH))); /**< unsigned ints */
typedef double vd __attribute__((vector_size(4 * V_WIDTH)));   /**< half as many doubles */
typedef uint8_t vb __attribute__((vector_size(V_WIDTH)));      /**< bytes, as many as floats */

/* The same types for memory of any alignment, which may be aliased. */
typedef float vf_memory __attribute__((vector_size(4 * V_WIDTH), aligned(4), may_alias));
typedef int32_t vi_memory __attribute__((vector_size(4 * V_WIDTH), aligned(4), may_alias));
typedef double vd_memory __attribute__((vector_size(4 * V_WIDTH), aligned(8), may_alias));
typedef uint8_t vb_memory __attribute__((vector_size(V_WIDTH), aligned(1), may_alias));

/* ---- making, loading, storing ------------------------------------------------------------ */

/** x in every lane. */
SIMD_INLINE vf v_set(float x) { return x - (vf){0}; }

SIMD_INLINE vi v_set_int(int32_t x) { return x - (vi){0}; }

/** 0, 1, 2, ... */
SIMD_INLINE vi v_iota(void) {
#if V_WIDTH == 16
    return (vi){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#else
    return (vi){0, 1, 2, 3, 4, 5, 6, 7};
#endif
}

SIMD_INLINE vf v_load(const float *p) { return *(const vf_memory *)p; }

SIMD_INLINE void v_store(float *p, vf v) { *(vf_memory *)p = v; }

SIMD_INLINE vi v_load_int(const int32_t *p) { return *(const vi_memory *)p; }

SIMD_INLINE void v_store_int(int32_t *p, vi v) { *(vi_memory *)p = v; }

SIMD_INLINE vd v_load_double(const double *p) { return *(const vd_memory *)p; }

SIMD_INLINE void v_store_double(double *p, vd v) { *(vd_memory *)p = v; }

#if V_WIDTH == 16

SIMD_INLINE __mmask16 v_lanes_(int64_t count) {
    return (__mmask16)_bzhi_u32(0xffff, (unsigned)count);
}

/** The first count floats at p; the other lanes are 0. */
SIMD_INLINE vf v_load_part(const float *p, int64_t count) {
    return (vf)_mm512_maskz_loadu_ps(v_lanes_(count), p);
}

SIMD_INLINE vi v_load_int_part(const int32_t *p, int64_t count) {
    return (vi)_mm512_maskz_loadu_epi32(v_lanes_(count), p);
}

/** Stores the first count lanes. */
SIMD_INLINE void v_store_part(float *p, vf v, int64_t count) {
    _mm512_mask_storeu_ps(p, v_lanes_(count), (__m512)v);
}

SIMD_INLINE void v_store_int_part(int32_t *p, vi v, int64_t count) {
    _mm512_mask_storeu_epi32(p, v_lanes_(count), (__m512i)v);
}

/** V_WIDTH bytes, widened to ints. */
SIMD_INLINE vi v_load_bytes(const uint8_t *p) {
    return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}

/** The low byte of each lane. */
SIMD_INLINE void v_store_bytes(uint8_t *p, vi v) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)v));
}

/** base[index] of every lane. */
SIMD_INLINE vf v_gather(const float *base, vi index) {
    return (vf)_mm512_i32gather_ps((__m512i)index, base, 4);
}

/* ---- arithmetic -------------------------------------------------------------------------- */

/** mask ? a : b, lane by lane. */
SIMD_INLINE vf v_select(vi mask, vf a, vf b) {
    return (vf)_mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)mask), (__m512)b, (__m512)a);
}

/** a * b + c, rounded once. */
SIMD_INLINE vf v_fma(vf a, vf b, vf c) {
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

/** The greater; b where either is NaN. */
SIMD_INLINE vf v_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }

/** The smaller; b where either is NaN. */
SIMD_INLINE vf v_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }

SIMD_INLINE vf v_sqrt(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }

/** To the nearest integer, ties to even. */
SIMD_INLINE vf v_round(vf x) {
    return (vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/** x to the nearest integer, as ints; x within their range. */
SIMD_INLINE vi v_to_int(vf x) { return (vi)_mm512_cvtps_epi32((__m512)x); }

/** x * 2^n for integral n, overflow included. */
SIMD_INLINE vf v_scale(vf x, vf n) { return (vf)_mm512_scalef_ps((__m512)x, (__m512)n); }

/** Whether any lane of a mask is set. */
SIMD_INLINE bool v_any(vi mask) { return _mm512_movepi32_mask((__m512i)mask) != 0; }

#else

SIMD_INLINE __m256i v_lanes_(int64_t count) { return (__m256i)(v_iota() < (int32_t)count); }

SIMD_INLINE vf v_load_part(const float *p, int64_t count) {
    return (vf)_mm256_maskload_ps(p, v_lanes_(count));
}

SIMD_INLINE vi v_load_int_part(const int32_t *p, int64_t count) {
    return (vi)_mm256_maskload_epi32(p, v_lanes_(count));
}

SIMD_INLINE void v_store_part(float *p, vf v, int64_t count) {
    _mm256_maskstore_ps(p, v_lanes_(count), (__m256)v);
}

SIMD_INLINE void v_store_int_part(int32_t *p, vi v, int64_t count) {
    _mm256_maskstore_epi32(p, v_lanes_(count), (__m256i)v);
}

SIMD_INLINE vi v_load_bytes(const uint8_t *p) {
    return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

SIMD_INLINE void v_store_bytes(uint8_t *p, vi v) {
    __m256i bytes = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                     -1, -1, -1, -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1);
    __m256i packed = _mm256_shuffle_epi8((__m256i)v, bytes);
    _mm_storel_epi64((__m128i *)p, _mm_or_si128(_mm256_castsi256_si128(packed),
                                                _mm256_extracti128_si256(packed, 1)));
}

SIMD_INLINE vf v_gather(const float *base, vi index) {
    return (vf)_mm256_i32gather_ps(base, (__m256i)index, 4);
}

SIMD_INLINE vf v_select(vi mask, vf a, vf b) {
    return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)mask);
}

SIMD_INLINE vf v_fma(vf a, vf b, vf c) {
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

SIMD_INLINE vf v_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }

SIMD_INLINE vf v_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }

SIMD_INLINE vf v_sqrt(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }

SIMD_INLINE vf v_round(vf x) {
    return (vf)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

SIMD_INLINE vi v_to_int(vf x) { return (vi)_mm256_cvtps_epi32((__m256)x); }

/* In two factors, because 2^n itself may be out of range; |n| < 254. */
SIMD_INLINE vf v_scale(vf x, vf n) {
    vi whole = v_to_int(n);
    vi half = whole >> 1;
    return x * (vf)((vu)(half + 127) << 23) * (vf)((vu)(whole - half + 127) << 23);
}

SIMD_INLINE bool v_any(vi mask) { return _mm256_movemask_ps((__m256)mask) != 0; }

#endif

SIMD_INLINE vf v_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }

/** |magnitude| with the sign of `sign`. */
SIMD_INLINE vf v_copysign(vf magnitude, vf sign) {
    return (vf)(((vi)magnitude & 0x7fffffff) | ((vi)sign & INT32_MIN));
}

/** a where x is NaN, else b. */
SIMD_INLINE vf v_select_nan(vf x, vf a, vf b) {
#if V_WIDTH == 16
    return (vf)_mm512_mask_mov_ps((__m512)b, _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q),
                                  (__m512)a);
#else
    return v_select(x != x, a, b);
#endif
}

/** The greater; NaN where either is NaN. */
SIMD_INLINE vf v_max_nan(vf a, vf b) { return v_select_nan(a, a, v_max(a, b)); }

/** The smaller; NaN where either is NaN. */
SIMD_INLINE vf v_min_nan(vf a, vf b) { return v_select_nan(a, a, v_min(a, b)); }

/** The first half of the lanes as doubles. */
SIMD_INLINE vd v_low_double(vf x) {
#if V_WIDTH == 16
    return (vd)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x));
#else
    return (vd)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x));
#endif
}

/** The second half of the lanes as doubles. */
SIMD_INLINE vd v_high_double(vf x) {
#if V_WIDTH == 16
    return (vd)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1));
#else
    return (vd)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1));
#endif
}

/** Doubles rounded to floats: the first half of the lanes, and the second. */
SIMD_INLINE vf v_from_double(vd low, vd high) {
#if V_WIDTH == 16
    __m512 first = _mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)low));
    return (vf)_mm512_insertf32x8(first, _mm512_cvtpd_ps((__m512d)high), 1);
#else
    __m256 first = _mm256_castps128_ps256(_mm256_cvtpd_ps((__m256d)low));
    return (vf)_mm256_insertf128_ps(first, _mm256_cvtpd_ps((__m256d)high), 1);
#endif
}

/* ---- quads: four floats that lie together ------------------------------------------------ */

/** The first `count` (up to 4) floats at p, p + step, ..., p + (quads - 1) * step, a quad of lanes
 * each; the other lanes are 0. */
SIMD_INLINE vf v_load_quads(const float *p, int64_t step, int64_t quads, int64_t count) {
#if V_WIDTH == 16
    const __mmask8 mask = (__mmask8)_bzhi_u32(0xf, (unsigned)count);
    __m512 x = _mm512_setzero_ps();
    if (quads > 0)
        x = _mm512_castps128_ps512(_mm_maskz_loadu_ps(mask, p));
    if (quads > 1)
        x = _mm512_insertf32x4(x, _mm_maskz_loadu_ps(mask, p + step), 1);
    if (quads > 2)
        x = _mm512_insertf32x4(x, _mm_maskz_loadu_ps(mask, p + 2 * step), 2);
    if (quads > 3)
        x = _mm512_insertf32x4(x, _mm_maskz_loadu_ps(mask, p + 3 * step), 3);
    return (vf)x;
#else
    const __m128i mask = _mm256_castsi256_si128(v_lanes_(count));
    __m256 x = _mm256_setzero_ps();
    if (quads > 0)
        x = _mm256_castps128_ps256(_mm_maskload_ps(p, mask));
    if (quads > 1)
        x = _mm256_insertf128_ps(x, _mm_maskload_ps(p + step, mask), 1);
    return (vf)x;
#endif
}

/** The reverse: stores the first `count` floats of each of the first `quads` quads. */
SIMD_INLINE void v_store_quads(float *p, int64_t step, vf v, int64_t quads, int64_t count) {
#if V_WIDTH == 16
    const __mmask8 mask = (__mmask8)_bzhi_u32(0xf, (unsigned)count);
    if (quads > 0)
        _mm_mask_storeu_ps(p, mask, _mm512_castps512_ps128((__m512)v));
    if (quads > 1)
        _mm_mask_storeu_ps(p + step, mask, _mm512_extractf32x4_ps((__m512)v, 1));
    if (quads > 2)
        _mm_mask_storeu_ps(p + 2 * step, mask, _mm512_extractf32x4_ps((__m512)v, 2));
    if (quads > 3)
        _mm_mask_storeu_ps(p + 3 * step, mask, _mm512_extractf32x4_ps((__m512)v, 3));
#else
    const __m128i mask = _mm256_castsi256_si128(v_lanes_(count));
    if (quads > 0)
        _mm_maskstore_ps(p, mask, _mm256_castps256_ps128((__m256)v));
    if (quads > 1)
        _mm_maskstore_ps(p + step, mask, _mm256_extractf128_ps((__m256)v, 1));
#endif
}

/* ---- across the lanes -------------------------------------------------------------------- */

/** The sum of all lanes, as a tree of halves. */
SIMD_INLINE float v_sum(vf v) {
#if V_WIDTH == 16
    __m256 half = _mm512_castps512_ps256((__m512)v) + _mm512_extractf32x8_ps((__m512)v, 1);
#else
    __m256 half = (__m256)v;
#endif
    __m128 quad = _mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1);
    quad += _mm_movehl_ps(quad, quad);
    return quad[0] + quad[1];
}

/** The sums of all lanes of four vectors, each in a fixed order. */
SIMD_INLINE void v_sum_four(const vf v[4], float sum[4]) {
#if V_WIDTH == 16
    __m512 a = _mm512_unpacklo_ps((__m512)v[0], (__m512)v[1]) +
               _mm512_unpackhi_ps((__m512)v[0], (__m512)v[1]);
    __m512 b = _mm512_unpacklo_ps((__m512)v[2], (__m512)v[3]) +
               _mm512_unpackhi_ps((__m512)v[2], (__m512)v[3]);
    __m512 quads = _mm512_shuffle_ps(a, b, 0x44) + _mm512_shuffle_ps(a, b, 0xee);
    __m256 half = _mm512_castps512_ps256(quads) + _mm512_extractf32x8_ps(quads, 1);
#else
    __m256 a = _mm256_unpacklo_ps((__m256)v[0], (__m256)v[1]) +
               _mm256_unpackhi_ps((__m256)v[0], (__m256)v[1]);
    __m256 b = _mm256_unpacklo_ps((__m256)v[2], (__m256)v[3]) +
               _mm256_unpackhi_ps((__m256)v[2], (__m256)v[3]);
    __m256 half = _mm256_shuffle_ps(a, b, 0x44) + _mm256_shuffle_ps(a, b, 0xee);
#endif
    _mm_storeu_ps(sum, _mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1));
}

SIMD_INLINE double v_sum_double(vd v) {
#if V_WIDTH == 16
    __m256d half = _mm512_castpd512_pd256((__m512d)v) + _mm512_extractf64x4_pd((__m512d)v, 1);
#else
    __m256d half = (__m256d)v;
#endif
    __m128d pair = _mm256_castpd256_pd128(half) + _mm256_extractf128_pd(half, 1);
    return pair[0] + pair[1];
}

/* Lanes that change places with those 8, 4, 2 and 1 away. */
#if V_WIDTH == 16
#define V_TURN_8 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7
#define V_TURN_4 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11
#define V_TURN_2 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13
#define V_TURN_1 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14
#else
#define V_TURN_4 4, 5, 6, 7, 0, 1, 2, 3
#define V_TURN_2 2, 3, 0, 1, 6, 7, 4, 5
#define V_TURN_1 1, 0, 3, 2, 5, 4, 7, 6
#endif

/** The greatest lane; NaN if any lane is. */
SIMD_INLINE float v_greatest(vf v) {
#if V_WIDTH == 16
    v = v_max_nan(v, V_SHUFFLE(v, v, V_TURN_8));
#endif
    v = v_max_nan(v, V_SHUFFLE(v, v, V_TURN_4));
    v = v_max_nan(v, V_SHUFFLE(v, v, V_TURN_2));
    v = v_max_nan(v, V_SHUFFLE(v, v, V_TURN_1));
    return v[0];
}

/** The smallest lane; NaN if any lane is. */
SIMD_INLINE float v_smallest(vf v) { return -v_greatest(-v); }

/* ---- pairs ------------------------------------------------------------------------------- */

/** Lanes 0, 2, 4 .. and 1, 3, 5 .. of a and b, one after the other. */
SIMD_INLINE void v_unzip(vf a, vf b, vf *even, vf *odd) {
#if V_WIDTH == 16
    *even = V_SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *odd = V_SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#else
    *even = V_SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
    *odd = V_SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#endif
}

/** The reverse. */
SIMD_INLINE void v_zip(vf even, vf odd, vf *a, vf *b) {
#if V_WIDTH == 16
    *a = V_SHUFFLE(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *b = V_SHUFFLE(even, odd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#else
    *a = V_SHUFFLE(even, odd, 0, 8, 1, 9, 2, 10, 3, 11);
    *b = V_SHUFFLE(even, odd, 4, 12, 5, 13, 6, 14, 7, 15);
#endif
}

/** Writes the first `count` (at most 2 V_WIDTH) of even[0], odd[0], even[1], odd[1], .. */
SIMD_INLINE void v_store_pairs(float *p, int64_t count, vf even, vf odd) {
    vf a, b;
    v_zip(even, odd, &a, &b);
    if (count >= V_WIDTH)
        v_store(p, a);
    else
        v_store_part(p, a, count);
    if (count >= 2 * V_WIDTH)
        v_store(p + V_WIDTH, b);
    else if (count > V_WIDTH)
        v_store_part(p + V_WIDTH, b, count - V_WIDTH);
}

/* ---- threads ----------------------------------------------------------------------------- */

/** One piece of a kernel's work. Pieces are cut by shape alone, so that results do not depend on
 * the number of threads. */
typedef void (*simd_task)(const void *arg, int64_t index);

#define simd_parallel SIMD_NAME(parallel_)

/** Runs task(arg, 0) to task(arg, count - 1) on up to `threads` threads,
 * denormal numbers as zero. */
void simd_parallel(int threads, int64_t count, simd_task task, const void *arg);

/** Threads worth using for `work` elements of cheap arithmetic: small work stays on one. */
SIMD_INLINE int simd_threads(const qn_call *call, int64_t work) {
    return work < 32768 ? 1 : call->threads;
}

#endif
