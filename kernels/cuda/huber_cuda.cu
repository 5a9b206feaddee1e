/* huber_cuda.cu: y = d^2 / 2 for d = |p - t| up to delta, then delta (d - delta / 2). */
#include "cuda_map.h"

namespace {

template <class T> struct huber_f {
    T delta;
    __device__ T operator()(T p, T t) const {
        T distance = m_abs(p - t);
        return distance <= delta ? distance * distance / 2 : delta * (distance - delta / 2);
    }
};

qn_status run(const qn_call *call) {
    double delta = ((const qn_scalar_attrs *)call->attrs)->value;
    return map_binary<huber_f>(call, delta);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_huber;
const qn_kernel qnk_cuda_huber = {
    .size = sizeof(qn_kernel), .op = "huber", .run = run, .attrs_size = sizeof(qn_scalar_attrs)};
