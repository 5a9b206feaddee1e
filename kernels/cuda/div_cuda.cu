/* div_cuda.cu: y = a / b. */
#include "cuda_map.h"

namespace {

template <class T> struct div_f {
    __device__ T operator()(T a, T b) const { return a / b; }
};

qn_status run(const qn_call *call) { return map_binary<div_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_div;
const qn_kernel qnk_cuda_div = {.size = sizeof(qn_kernel), .op = "div", .run = run};
