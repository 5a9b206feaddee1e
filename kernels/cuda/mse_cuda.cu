/* mse_cuda.cu: y = (p - t)^2, element by element. */
#include "cuda_map.h"

namespace {

template <class T> struct mse_f {
    __device__ T operator()(T a, T b) const { return (a - b) * (a - b); }
};

qn_status run(const qn_call *call) { return map_binary<mse_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_mse;
const qn_kernel qnk_cuda_mse = {.size = sizeof(qn_kernel), .op = "mse", .run = run};
