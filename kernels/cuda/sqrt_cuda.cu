/* sqrt_cuda.cu: y = the square root of x. */
#include "cuda_map.h"

namespace {

template <class T> struct sqrt_f {
    __device__ T operator()(T x) const { return m_sqrt(x); }
};

qn_status run(const qn_call *call) { return map_unary<sqrt_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_sqrt;
const qn_kernel qnk_cuda_sqrt = {.size = sizeof(qn_kernel), .op = "sqrt", .run = run};
