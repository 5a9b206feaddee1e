/* tanh_cuda.cu: y = tanh x; gradient g (1 - y^2). */
#include "cuda_map.h"

namespace {

template <class T> struct tanh_f {
    __device__ T operator()(T x) const { return m_tanh(x); }
};

qn_status run(const qn_call *call) { return map_unary<tanh_f>(call); }

template <class T> struct tanh_grad_f {
    __device__ T operator()(T g, T y) const { return g * (1 - y * y); }
};

qn_status run_grad(const qn_call *call) { return map_binary<tanh_grad_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_tanh;
const qn_kernel qnk_cuda_tanh = {.size = sizeof(qn_kernel), .op = "tanh", .run = run};

extern "C" const qn_kernel qnk_cuda_tanh_grad;
const qn_kernel qnk_cuda_tanh_grad = {
    .size = sizeof(qn_kernel), .op = "tanh_grad", .run = run_grad};
