/* gelu_simd.c: Gaussian error linear unit, exact or in its tanh form, and the gradient.
 *
 * The tanh form 0.5 x (1 + tanh u) is computed as x sigmoid(2 u), which is the same and does not
 * cancel where tanh u is near -1. */
#include "simd_map.h"
#include "simd_math.h"

/** 2 u = 2 sqrt(2 / pi) (x + 0.044715 x^3). */
SIMD_INLINE vf gelu_twice_u(vf x) {
    return x * v_fma(x * x, v_set(0.0713548163f), v_set(1.59576912f));
}

SIMD_INLINE vf gelu_exact_body(vf x) { return x * v_normal_cdf(x); }

SIMD_INLINE vf gelu_tanh_body(vf x) { return x * v_sigmoid(gelu_twice_u(x)); }

static void gelu_exact_span(const simd_span *span) { simd_unary(span, gelu_exact_body); }

static void gelu_tanh_span(const simd_span *span) { simd_unary(span, gelu_tanh_body); }

static qn_status gelu_run(const qn_call *call) {
    const qn_gelu_attrs *attrs = call->attrs;
    return simd_map(call, attrs->tanh_form ? gelu_tanh_span : gelu_exact_span, SIMD_COSTLY);
}

const qn_kernel SIMD_KERNEL(gelu) = {
    .size = sizeof(qn_kernel),
    .op = "gelu",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = gelu_run,
    .attrs_size = sizeof(qn_gelu_attrs),
};

/* gelu'(x) = Phi(x) + x phi(x), phi(x) = e^(-x^2 / 2) / sqrt(2 pi). */
SIMD_INLINE vf gelu_exact_grad_body(vf g, vf x) {
    vf density = 0.398942280f * v_exp(-0.5f * x * x);
    return g * v_fma(x, density, v_normal_cdf(x));
}

/* With s = sigmoid(2 u): s + x s (1 - s) 2 u'; s (1 - s) = e / (1 + e)^2, e = e^-|2 u|. */
SIMD_INLINE vf gelu_tanh_grad_body(vf g, vf x) {
    vf twice_u = gelu_twice_u(x);
    vf e = v_exp(-v_abs(twice_u));
    vf d = 1.0f / (e + 1.0f);
    vf s = v_select(twice_u < 0.0f, e * d, d);
    vf slope = v_fma(x * x, v_set(0.214064449f), v_set(1.59576912f));
    return g * v_fma(x * (e * d * d), slope, s);
}

static void gelu_exact_grad_span(const simd_span *span) { simd_binary(span, gelu_exact_grad_body); }

static void gelu_tanh_grad_span(const simd_span *span) { simd_binary(span, gelu_tanh_grad_body); }

static qn_status gelu_grad_run(const qn_call *call) {
    const qn_gelu_attrs *attrs = call->attrs;
    return simd_map(call, attrs->tanh_form ? gelu_tanh_grad_span : gelu_exact_grad_span,
                    SIMD_COSTLY);
}

const qn_kernel SIMD_KERNEL(gelu_grad) = {
    .size = sizeof(qn_kernel),
    .op = "gelu_grad",
    .declines = simd_f32_only,
    .workspace = simd_map_workspace,
    .run = gelu_grad_run,
    .attrs_size = sizeof(qn_gelu_attrs),
};
