/* softplus_cuda.cu: y = log(1 + e^x); gradient g sigmoid(x). */
#include "cuda_map.h"

namespace {

template <class T> struct softplus_f {
    __device__ T operator()(T x) const {
        T above = x < 0 ? 0 : x; /* NaN stays */
        return above + m_log1p(m_exp(-m_abs(x)));
    }
};

qn_status run(const qn_call *call) { return map_unary<softplus_f>(call); }

template <class T> struct softplus_grad_f {
    __device__ T operator()(T g, T x) const { return g * m_sigmoid(x); }
};

qn_status run_grad(const qn_call *call) { return map_binary<softplus_grad_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_softplus;
const qn_kernel qnk_cuda_softplus = {.size = sizeof(qn_kernel), .op = "softplus", .run = run};

extern "C" const qn_kernel qnk_cuda_softplus_grad;
const qn_kernel qnk_cuda_softplus_grad = {
    .size = sizeof(qn_kernel), .op = "softplus_grad", .run = run_grad};
