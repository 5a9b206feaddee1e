/* clamp_cuda.cu: y = x held within [low, high]; gradient g inside. */
#include "cuda_map.h"

namespace {

template <class T> struct clamp_f {
    T low, high;
    __device__ T operator()(T x) const {
        T raised = x < low ? low : x;
        return raised > high ? high : raised;
    }
};

qn_status run(const qn_call *call) {
    const qn_range_attrs *range = (const qn_range_attrs *)call->attrs;
    return map_unary<clamp_f>(call, range->low, range->high);
}

template <class T> struct clamp_grad_f {
    T low, high;
    __device__ T operator()(T g, T x) const { return x >= low && x <= high ? g : 0; }
};

qn_status run_grad(const qn_call *call) {
    const qn_range_attrs *range = (const qn_range_attrs *)call->attrs;
    return map_binary<clamp_grad_f>(call, range->low, range->high);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_clamp;
const qn_kernel qnk_cuda_clamp = {
    .size = sizeof(qn_kernel), .op = "clamp", .run = run, .attrs_size = sizeof(qn_range_attrs)};

extern "C" const qn_kernel qnk_cuda_clamp_grad;
const qn_kernel qnk_cuda_clamp_grad = {.size = sizeof(qn_kernel),
                                       .op = "clamp_grad",
                                       .run = run_grad,
                                       .attrs_size = sizeof(qn_range_attrs)};
