/* maximum_cuda.cu: y = the greater of a and b; NaN if either is. */
#include "cuda_map.h"

namespace {

template <class T> struct maximum_f {
    __device__ T operator()(T a, T b) const { return a > b || a != a ? a : b; }
};

qn_status run(const qn_call *call) { return map_binary<maximum_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_maximum;
const qn_kernel qnk_cuda_maximum = {sizeof(qn_kernel), "maximum", nullptr, nullptr, run, 0};
