/* sigmoid_cuda.cu: y = 1 / (1 + e^-x); gradient g y (1 - y). */
#include "cuda_map.h"

namespace {

template <class T> struct sigmoid_f {
    __device__ T operator()(T x) const { return m_sigmoid(x); }
};

qn_status run(const qn_call *call) { return map_unary<sigmoid_f>(call); }

template <class T> struct sigmoid_grad_f {
    __device__ T operator()(T g, T y) const { return g * y * (1 - y); }
};

qn_status run_grad(const qn_call *call) { return map_binary<sigmoid_grad_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_sigmoid;
const qn_kernel qnk_cuda_sigmoid = {.size = sizeof(qn_kernel), .op = "sigmoid", .run = run};

extern "C" const qn_kernel qnk_cuda_sigmoid_grad;
const qn_kernel qnk_cuda_sigmoid_grad = {
    .size = sizeof(qn_kernel), .op = "sigmoid_grad", .run = run_grad};
