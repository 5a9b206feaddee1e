/* log_cuda.cu: y = log x. */
#include "cuda_map.h"

namespace {

template <class T> struct log_f {
    __device__ T operator()(T x) const { return m_log(x); }
};

qn_status run(const qn_call *call) { return map_unary<log_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_log;
const qn_kernel qnk_cuda_log = {.size = sizeof(qn_kernel), .op = "log", .run = run};
