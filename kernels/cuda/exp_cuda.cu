/* exp_cuda.cu: y = e^x. */
#include "cuda_map.h"

namespace {

template <class T> struct exp_f {
    __device__ T operator()(T x) const { return m_exp(x); }
};

qn_status run(const qn_call *call) { return map_unary<exp_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_exp;
const qn_kernel qnk_cuda_exp = {.size = sizeof(qn_kernel), .op = "exp", .run = run};
