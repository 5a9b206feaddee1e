/* mae_cuda.cu: y = |p - t|, element by element. */
#include "cuda_map.h"

namespace {

template <class T> struct mae_f {
    __device__ T operator()(T a, T b) const { return m_abs(a - b); }
};

qn_status run(const qn_call *call) { return map_binary<mae_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_mae;
const qn_kernel qnk_cuda_mae = {.size = sizeof(qn_kernel), .op = "mae", .run = run};
