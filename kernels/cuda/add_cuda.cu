/* add_cuda.cu: y = a + b. */
#include "cuda_map.h"

namespace {

template <class T> struct add_f {
    __device__ T operator()(T a, T b) const { return a + b; }
};

qn_status run(const qn_call *call) { return map_binary<add_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_add;
const qn_kernel qnk_cuda_add = {.size = sizeof(qn_kernel), .op = "add", .run = run};
