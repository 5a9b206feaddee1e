/* silu_cuda.cu: y = x sigmoid(x) and its gradient. */
#include "cuda_map.h"

namespace {

template <class T> struct silu_f {
    __device__ T operator()(T x) const { return x * m_sigmoid(x); }
};

qn_status run(const qn_call *call) { return map_unary<silu_f>(call); }

template <class T> struct silu_grad_f {
    __device__ T operator()(T g, T x) const {
        T s = m_sigmoid(x);
        return g * s * (1 + x * (1 - s));
    }
};

qn_status run_grad(const qn_call *call) { return map_binary<silu_grad_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_silu;
const qn_kernel qnk_cuda_silu = {.size = sizeof(qn_kernel), .op = "silu", .run = run};

extern "C" const qn_kernel qnk_cuda_silu_grad;
const qn_kernel qnk_cuda_silu_grad = {
    .size = sizeof(qn_kernel), .op = "silu_grad", .run = run_grad};
