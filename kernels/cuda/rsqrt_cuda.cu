/* rsqrt_cuda.cu: y = 1 / the square root of x. */
#include "cuda_map.h"

namespace {

template <class T> struct rsqrt_f {
    __device__ T operator()(T x) const { return 1 / m_sqrt(x); }
};

qn_status run(const qn_call *call) { return map_unary<rsqrt_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_rsqrt;
const qn_kernel qnk_cuda_rsqrt = {.size = sizeof(qn_kernel), .op = "rsqrt", .run = run};
