/* sub_cuda.cu: y = a - b. */
#include "cuda_map.h"

namespace {

template <class T> struct sub_f {
    __device__ T operator()(T a, T b) const { return a - b; }
};

qn_status run(const qn_call *call) { return map_binary<sub_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_sub;
const qn_kernel qnk_cuda_sub = {.size = sizeof(qn_kernel), .op = "sub", .run = run};
