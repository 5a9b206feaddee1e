/* clip_factor_cuda.cu: hyper[QN_HYPER_CLIP] = min(1, largest / (sqrt(square_sum) + 1e-6)). */
#include "gpu.h"

namespace {

template <class T> __global__ void clip_factor(double largest, const T *square_sum, T *hyper) {
    if (threadIdx.x != 0)
        return;
    const double factor = largest / (sqrt((double)*square_sum) + 1e-6);
    hyper[QN_HYPER_CLIP] = factor > 1 ? (T)1 : (T)factor;
}

template <class T> qn_status run_as(const qn_call *call) {
    return gpu_launch(call, clip_factor<T>, 1, GPU_WARP, 0,
                      ((const qn_scalar_attrs *)call->attrs)->value, (const T *)call->in[0].data,
                      (T *)call->in[1].data);
}

qn_status run(const qn_call *call) {
    return call->in[0].dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_clip_factor;
const qn_kernel qnk_cuda_clip_factor = {.size = sizeof(qn_kernel),
                                        .op = "clip_factor",
                                        .run = run,
                                        .attrs_size = sizeof(qn_scalar_attrs)};
