/* neg_cuda.cu: y = -x. */
#include "cuda_map.h"

namespace {

template <class T> struct neg_f {
    __device__ T operator()(T x) const { return -x; }
};

qn_status run(const qn_call *call) { return map_unary<neg_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_neg;
const qn_kernel qnk_cuda_neg = {.size = sizeof(qn_kernel), .op = "neg", .run = run};
