/* relu_cuda.cu: y = max(x, 0); gradient g where y > 0. */
#include "cuda_map.h"

namespace {

template <class T> struct relu_f {
    __device__ T operator()(T x) const { return x < 0 ? 0 : x; }
};

qn_status run(const qn_call *call) { return map_unary<relu_f>(call); }

template <class T> struct relu_grad_f {
    __device__ T operator()(T g, T y) const { return y > 0 ? g : 0; }
};

qn_status run_grad(const qn_call *call) { return map_binary<relu_grad_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_relu;
const qn_kernel qnk_cuda_relu = {.size = sizeof(qn_kernel), .op = "relu", .run = run};

extern "C" const qn_kernel qnk_cuda_relu_grad;
const qn_kernel qnk_cuda_relu_grad = {
    .size = sizeof(qn_kernel), .op = "relu_grad", .run = run_grad};
