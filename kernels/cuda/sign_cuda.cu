/* sign_cuda.cu: y = -1, 0 or 1; NaN for NaN. */
#include "cuda_map.h"

namespace {

template <class T> struct sign_f {
    __device__ T operator()(T x) const { return x != x ? x : (T)((x > 0) - (x < 0)); }
};

qn_status run(const qn_call *call) { return map_unary<sign_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_sign;
const qn_kernel qnk_cuda_sign = {.size = sizeof(qn_kernel), .op = "sign", .run = run};
