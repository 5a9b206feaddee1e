/* maximum_cuda.cu: y = the greater of a and b; NaN if either is. */
#include "cuda_map.h"

namespace {

template <class T> struct maximum_f {
    __device__ T operator()(T a, T b) const { return a > b || a != a ? a : b; }
};

qn_status run(const qn_call *call) { return map_binary<maximum_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_maximum;
const qn_kernel qnk_cuda_maximum = {.size = sizeof(qn_kernel), .op = "maximum", .run = run};
