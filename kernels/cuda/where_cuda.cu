/* where_cuda.cu: y = condition ? a : b, bit for bit: elements are moved as integers of their size. */
#include "cuda_map.h"

namespace {

template <class T> struct where_f {
    __device__ T operator()(uint8_t condition, T a, T b) const { return condition ? a : b; }
};

qn_status run(const qn_call *call) {
    switch (qn_dtype_size(call->out->dtype)) {
    case 1:
        return map_launch<uint8_t, uint8_t, uint8_t, uint8_t>(call, where_f<uint8_t>{});
    case 4:
        return map_launch<uint32_t, uint8_t, uint32_t, uint32_t>(call, where_f<uint32_t>{});
    default:
        return map_launch<uint64_t, uint8_t, uint64_t, uint64_t>(call, where_f<uint64_t>{});
    }
}

} // namespace

extern "C" const qn_kernel qnk_cuda_where;
const qn_kernel qnk_cuda_where = {sizeof(qn_kernel), "where", nullptr, nullptr, run};
