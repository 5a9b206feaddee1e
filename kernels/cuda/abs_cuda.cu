/* abs_cuda.cu: y = |x|. */
#include "cuda_map.h"

namespace {

template <class T> struct abs_f {
    __device__ T operator()(T x) const { return m_abs(x); }
};

qn_status run(const qn_call *call) { return map_unary<abs_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_abs;
const qn_kernel qnk_cuda_abs = {.size = sizeof(qn_kernel), .op = "abs", .run = run};
