/* gelu_cuda.cu: y = x Phi(x) with the normal distribution's Phi, or its form with tanh; and the
 * gradient. */
#include "cuda_map.h"

namespace {

constexpr double c = 0.79788456080286535588; /* sqrt(2 / pi) */
constexpr double a = 0.044715;
constexpr double half_root = 0.70710678118654752440; /* 1 / sqrt(2) */

template <class T> struct gelu_f {
    __device__ T operator()(T x) const { return (T)0.5 * x * m_erfc(-x * (T)half_root); }
};

template <class T> struct gelu_tanh_f {
    __device__ T operator()(T x) const {
        return (T)0.5 * x * (1 + m_tanh((T)c * (x + (T)a * x * x * x)));
    }
};

template <class T> struct gelu_grad_f {
    __device__ T operator()(T g, T x) const {
        return g * (T)0.5 * (m_erfc(-x * (T)half_root) + x * (T)c * m_exp((T)-0.5 * x * x));
    }
};

template <class T> struct gelu_tanh_grad_f {
    __device__ T operator()(T g, T x) const {
        T t = m_tanh((T)c * (x + (T)a * x * x * x));
        return g * (T)0.5 * (1 + t + x * (1 - t * t) * (T)c * (1 + 3 * (T)a * x * x));
    }
};

bool has_tanh_form(const qn_call *call) { return ((const qn_gelu_attrs *)call->attrs)->tanh_form; }

qn_status run(const qn_call *call) {
    return has_tanh_form(call) ? map_unary<gelu_tanh_f>(call) : map_unary<gelu_f>(call);
}

qn_status run_grad(const qn_call *call) {
    return has_tanh_form(call) ? map_binary<gelu_tanh_grad_f>(call) : map_binary<gelu_grad_f>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_gelu;
const qn_kernel qnk_cuda_gelu = {
    .size = sizeof(qn_kernel), .op = "gelu", .run = run, .attrs_size = sizeof(qn_gelu_attrs)};

extern "C" const qn_kernel qnk_cuda_gelu_grad;
const qn_kernel qnk_cuda_gelu_grad = {.size = sizeof(qn_kernel),
                                      .op = "gelu_grad",
                                      .run = run_grad,
                                      .attrs_size = sizeof(qn_gelu_attrs)};
