/* affine_cuda.cu: y = scale x + shift. */
#include "cuda_map.h"

namespace {

template <class T> struct affine_f {
    T scale, shift;
    __device__ T operator()(T x) const { return scale * x + shift; }
};

qn_status run(const qn_call *call) {
    const qn_affine_attrs *affine = (const qn_affine_attrs *)call->attrs;
    return map_unary<affine_f>(call, affine->scale, affine->shift);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_affine;
const qn_kernel qnk_cuda_affine = {
    .size = sizeof(qn_kernel), .op = "affine", .run = run, .attrs_size = sizeof(qn_affine_attrs)};
