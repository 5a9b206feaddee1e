/* bce_with_logits_cuda.cu: y = max(x, 0) - x t + log(1 + e^-|x|). */
#include "cuda_map.h"

namespace {

template <class T> struct bce_with_logits_f {
    __device__ T operator()(T x, T t) const {
        return (x > 0 ? x : 0) - x * t + m_log1p(m_exp(-m_abs(x)));
    }
};

qn_status run(const qn_call *call) { return map_binary<bce_with_logits_f>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_bce_with_logits;
const qn_kernel qnk_cuda_bce_with_logits = {
    .size = sizeof(qn_kernel), .op = "bce_with_logits", .run = run};
