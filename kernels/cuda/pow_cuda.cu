/* pow_cuda.cu: y = a^b. */
#include "cuda_map.h"

namespace {

template <class T> struct pow_f {
    __device__ T operator()(T a, T b) const { return m_pow(a, b); }
};

qn_status run(const qn_call *call) { return map_binary<pow_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_pow;
const qn_kernel qnk_cuda_pow = {.size = sizeof(qn_kernel), .op = "pow", .run = run};
