/* simd_math.h: elementary functions on vectors.
 *
 * The polynomials are minimax fits (Remez exchange in 50-digit arithmetic, weighted for the
 * relative error of the function), the argument reductions those of Cody and Waite (1980). Errors
 * below were measured on a dense sample of floats, in units of the last place. NaN gives NaN;
 * infinities are handled, denormal numbers are zero (simd_parallel.c). */
#ifndef QN_SIMD_MATH_H
#define QN_SIMD_MATH_H

#include "simd.h"

/** ln 2 in two parts: n * V_LN2_HIGH is exact for |n| < 2^15. */
#define V_LN2_HIGH 0.693145751953125f
#define V_LN2_LOW 1.42860676533018e-6f

/** What exp and expm1 share: x = n ln 2 + r with |r| <= ln 2 / 2. */
typedef struct v_exp_parts {
    vf n, r;
} v_exp_parts;

SIMD_INLINE v_exp_parts v_exp_reduce(vf x) {
    vf n = v_round(x * 1.44269504f);
    vf r = v_fma(n, v_set(-V_LN2_HIGH), x);
    return (v_exp_parts){n, v_fma(n, v_set(-V_LN2_LOW), r)};
}

/** e^x. Error at most 1 ulp. */
SIMD_INLINE vf v_exp(vf x) {
    x = v_min(v_set(89.0f), v_max(v_set(-104.0f), x));
    v_exp_parts e = v_exp_reduce(x);
    vf p = v_fma(v_set(0.001381447178f), e.r, v_set(0.008368780674f));
    p = v_fma(p, e.r, v_set(0.04166839425f));
    p = v_fma(p, e.r, v_set(0.1666652011f));
    p = v_fma(p, e.r, v_set(0.4999999341f));
    p = v_fma(p * e.r, e.r, e.r);
    return v_scale(p + 1.0f, e.n);
}

/** e^x - 1 without cancellation, for |x| <= 88. Error below 2 ulp. */
SIMD_INLINE vf v_expm1(vf x) {
    v_exp_parts e = v_exp_reduce(x);
    vf p = v_fma(v_set(0.001388247433f), e.r, v_set(0.008366580219f));
    p = v_fma(p, e.r, v_set(0.04166720232f));
    p = v_fma(p, e.r, v_set(0.1666654318f));
    p = v_fma(p, e.r, v_set(0.4999999814f));
    p = v_fma(p * e.r, e.r, e.r);
    vf power = (vf)((vu)(v_to_int(e.n) + 127) << 23);
    return v_fma(p, power, power - 1.0f);
}

/** ln(1 + f) + n ln 2, for f from sqrt(1/2) - 1 to sqrt(2) - 1. */
SIMD_INLINE vf v_log_parts(vf f, vf n) {
    vf p = v_fma(v_set(-0.07646074172f), f, v_set(0.1277909201f));
    p = v_fma(p, f, v_set(-0.1316418585f));
    p = v_fma(p, f, v_set(0.1419969884f));
    p = v_fma(p, f, v_set(-0.1662276536f));
    p = v_fma(p, f, v_set(0.2000129258f));
    p = v_fma(p, f, v_set(-0.2500083794f));
    p = v_fma(p, f, v_set(0.333333312f));
    vf square = f * f;
    p = v_fma(p, f, v_set(-0.5f)) * square;
    p = v_fma(n, v_set(V_LN2_LOW), p);
    return v_fma(n, v_set(V_LN2_HIGH), f + p);
}

/** Natural logarithm: -inf at 0, NaN below. Error below 2 ulp. */
SIMD_INLINE vf v_log(vf x) {
    vi tiny = x < 1.17549435e-38f;
    vf scaled = v_select(tiny, x * 8388608.0f, x);
    vi bits = (vi)((vu)scaled - 0x3f3504f3u); /* sqrt(1/2): the fraction then starts there */
    vf n = __builtin_convertvector((bits >> 23) - (tiny & 23), vf);
    vf f = (vf)((bits & 0x007fffff) + 0x3f3504f3) - 1.0f;
    vf y = v_log_parts(f, n);
    y = v_select(x < __builtin_inff(), y, x); /* inf and NaN as they are */
    y = v_select(x == 0.0f, v_set(-__builtin_inff()), y);
    return v_select(x < 0.0f, v_set(__builtin_nanf("")), y);
}

/** ln(1 + x) for 0 <= x <= 1. Error below 2 ulp. */
SIMD_INLINE vf v_log1p_unit(vf x) {
    vi upper = x > 0.41421356f;
    vf f = v_select(upper, v_fma(x, v_set(0.5f), v_set(-0.5f)), x);
    return v_log_parts(f, v_select(upper, v_set(1.0f), v_set(0.0f)));
}

/** Hyperbolic tangent, from t = e^2|x| - 1 as t / (t + 2). Error below 3 ulp. */
SIMD_INLINE vf v_tanh(vf x) {
    vf t = v_expm1(v_min(v_set(20.0f), v_abs(x) * 2.0f));
    return v_copysign(t / (t + 2.0f), x);
}

/** 1 / (1 + e^-x), from e^-|x| so that neither side overflows. Error below 3 ulp. */
SIMD_INLINE vf v_sigmoid(vf x) {
    vf e = v_exp(-v_abs(x));
    return v_select(x < 0.0f, e, v_set(1.0f)) / (e + 1.0f);
}

/** ln(1 + e^x). Error below 3 ulp. */
SIMD_INLINE vf v_softplus(vf x) { return v_max(v_set(0.0f), x) + v_log1p_unit(v_exp(-v_abs(x))); }

/** The normal distribution function, erfc(-x / sqrt(2)) / 2. With a = |x| / sqrt(2) and t = 2 / (2
 * + a), erfc(a) = t e^(-a^2 + R(1 - t)), R a polynomial; the exponent is kept in two parts, since
 * its absolute error becomes a relative one. Error below 6 ulp. */
SIMD_INLINE vf v_normal_cdf(vf x) {
    vf size = v_min(v_set(14.4f), v_abs(x));
    vf t = 2.0f / v_fma(size, v_set(0.707106781f), v_set(2.0f));
    vf w = 1.0f - t;
    vf p = v_fma(v_set(-0.1375468604f), w, v_set(0.4281884364f));
    p = v_fma(p, w, v_set(-0.3913562377f));
    p = v_fma(p, w, v_set(0.06741625468f));
    p = v_fma(p, w, v_set(-0.07768743993f));
    p = v_fma(p, w, v_set(0.04772266415f));
    p = v_fma(p, w, v_set(0.1967755488f));
    p = v_fma(p, w, v_set(0.1608741561f));
    p = v_fma(p, w, v_set(-0.3031984623f));
    p = v_fma(p, w, v_set(-1.256759215f));
    p *= w;
    vf square = -0.5f * size * size;
    vf high = square + p;
    vf low = p - (high - square) + v_fma(-0.5f * size, size, -square);
    vf e = v_exp(high);
    vf tail = 0.5f * t * v_fma(e, low, e);
    return v_select(x > 0.0f, 1.0f - tail, tail);
}

/** cos(2 pi u) and sin(2 pi u) for 0 <= u <= 1, exact in the reduction to an eighth of a turn. */
SIMD_INLINE void v_turn(vf u, vf *cosine, vf *sine) {
    vf quarter = v_round(u * 4.0f);
    vf r = v_fma(quarter, v_set(-0.25f), u);
    vf z = r * r;
    vf s = v_fma(v_set(41.46988692f), z, v_set(-76.69777406f));
    s = v_fma(s, z, v_set(81.60520381f));
    s = v_fma(s, z, v_set(-41.34170215f));
    s = v_fma(s, z, v_set(6.283185307f)) * r;
    vf c = v_fma(v_set(59.22040554f), z, v_set(-85.4428521f));
    c = v_fma(c, z, v_set(64.93931621f));
    c = v_fma(c, z, v_set(-19.73920865f));
    c = v_fma(c, z, v_set(1.0f));
    vu turn = (vu)v_to_int(quarter);
    vi odd = (turn & 1) != 0;
    *cosine = (vf)((vu)v_select(odd, s, c) ^ (((turn + 1) & 2) << 30));
    *sine = (vf)((vu)v_select(odd, c, s) ^ ((turn & 2) << 30));
}

#endif
