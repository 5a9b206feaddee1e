/* leaky_relu_cuda.cu: y = x for x > 0, else slope x; gradient alike. */
#include "cuda_map.h"

namespace {

template <class T> struct leaky_relu_f {
    T slope;
    __device__ T operator()(T x) const { return x > 0 ? x : slope * x; }
};

qn_status run(const qn_call *call) {
    double slope = ((const qn_scalar_attrs *)call->attrs)->value;
    return map_unary<leaky_relu_f>(call, slope);
}

template <class T> struct leaky_relu_grad_f {
    T slope;
    __device__ T operator()(T g, T x) const { return x > 0 ? g : slope * g; }
};

qn_status run_grad(const qn_call *call) {
    double slope = ((const qn_scalar_attrs *)call->attrs)->value;
    return map_binary<leaky_relu_grad_f>(call, slope);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_leaky_relu;
const qn_kernel qnk_cuda_leaky_relu = {.size = sizeof(qn_kernel),
                                       .op = "leaky_relu",
                                       .run = run,
                                       .attrs_size = sizeof(qn_scalar_attrs)};

extern "C" const qn_kernel qnk_cuda_leaky_relu_grad;
const qn_kernel qnk_cuda_leaky_relu_grad = {.size = sizeof(qn_kernel),
                                            .op = "leaky_relu_grad",
                                            .run = run_grad,
                                            .attrs_size = sizeof(qn_scalar_attrs)};
