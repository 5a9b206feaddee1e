/* not_equal_cuda.cu: y = a != b, 0 or 1. */
#include "cuda_map.h"

namespace {

template <class T> struct not_equal_f {
    __device__ uint8_t operator()(T a, T b) const { return a != b; }
};

qn_status run(const qn_call *call) { return map_compare<not_equal_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_not_equal;
const qn_kernel qnk_cuda_not_equal = {.size = sizeof(qn_kernel), .op = "not_equal", .run = run};
