/* minimum_cuda.cu: y = the less of a and b; NaN if either is. */
#include "cuda_map.h"

namespace {

template <class T> struct minimum_f {
    __device__ T operator()(T a, T b) const { return a < b || a != a ? a : b; }
};

qn_status run(const qn_call *call) { return map_binary<minimum_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_minimum;
const qn_kernel qnk_cuda_minimum = {.size = sizeof(qn_kernel), .op = "minimum", .run = run};
