/* loss_scale_update_cuda.cu: with norm = sqrt(square_sum) / scale[0], where that is finite
 *
 *     hyper[QN_HYPER_CLIP] = min(1, max_norm / (norm + 1e-6)) / scale[0], or without max_norm 1 /
 * scale[0] scale[1] += 1; at growth_steps scale[0] = min(2 scale[0], 2^24), scale[1] = 0
 *
 * and otherwise hyper[QN_HYPER_SKIP] = 1; scale[0] = max(scale[0] / 2, 1); scale[1] = 0. */
#include "gpu.h"

namespace {

const float least = 1.0f, most = 16777216.0f;

template <class T>
__global__ void update(qn_loss_scale_attrs attrs, const T *square_sum, T *hyper, float *scale) {
    if (threadIdx.x != 0)
        return;
    const double norm = sqrt((double)*square_sum) / (double)scale[0];
    if (!(norm < (double)INFINITY)) { // NaN, too
        hyper[QN_HYPER_SKIP] = (T)1;
        scale[0] = fmaxf(scale[0] / 2.0f, least);
        scale[1] = 0.0f;
        return;
    }
    const double clip = attrs.max_norm > 0.0 ? attrs.max_norm / (norm + 1e-6) : 1.0;
    hyper[QN_HYPER_CLIP] = (T)(fmin(clip, 1.0) / (double)scale[0]);
    scale[1] += 1.0f;
    if ((double)scale[1] >= attrs.growth_steps) {
        scale[0] = fminf(scale[0] * 2.0f, most);
        scale[1] = 0.0f;
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    return gpu_launch(call, update<T>, 1, GPU_WARP, 0, *(const qn_loss_scale_attrs *)call->attrs,
                      (const T *)call->in[QN_LOSS_SCALE_UPDATE_SQUARE_SUM].data,
                      (T *)call->in[QN_LOSS_SCALE_UPDATE_HYPER].data,
                      (float *)call->in[QN_LOSS_SCALE_UPDATE_SCALE].data);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_loss_scale_update;
const qn_kernel qnk_cuda_loss_scale_update = {.size = sizeof(qn_kernel),
                                              .op = "loss_scale_update",
                                              .run = run,
                                              .attrs_size = sizeof(qn_loss_scale_attrs)};
