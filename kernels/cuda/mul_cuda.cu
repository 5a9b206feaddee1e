/* mul_cuda.cu: y = a * b. */
#include "cuda_map.h"

namespace {

template <class T> struct mul_f {
    __device__ T operator()(T a, T b) const { return a * b; }
};

qn_status run(const qn_call *call) { return map_binary<mul_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_mul;
const qn_kernel qnk_cuda_mul = {.size = sizeof(qn_kernel), .op = "mul", .run = run};
