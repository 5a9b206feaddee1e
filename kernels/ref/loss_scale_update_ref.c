/* loss_scale_update: with norm = sqrt(square_sum) / scale[0], where that is finite
 *
 *     hyper[QN_HYPER_CLIP] = min(1, max_norm / (norm + 1e-6)) / scale[0], or without max_norm 1 /
 * scale[0] scale[1] += 1; at growth_steps scale[0] = min(2 scale[0], 2^24), scale[1] = 0
 *
 * and otherwise hyper[QN_HYPER_SKIP] = 1; scale[0] = max(scale[0] / 2, 1); scale[1] = 0. */
#include "ref.h"

enum { LEAST = 1, MOST = 1 << 24 };

static qn_status run(const qn_call *call) {
    const qn_loss_scale_attrs *attrs = call->attrs;
    const qn_view *hyper = &call->in[QN_LOSS_SCALE_UPDATE_HYPER];
    float *scale = call->in[QN_LOSS_SCALE_UPDATE_SCALE].data;
    const double norm =
        sqrt(ref_load(&call->in[QN_LOSS_SCALE_UPDATE_SQUARE_SUM], 0)) / (double)scale[0];
    if (!isfinite(norm)) {
        ref_store(hyper, QN_HYPER_SKIP, 1);
        scale[0] = scale[0] / 2 > LEAST ? scale[0] / 2 : LEAST;
        scale[1] = 0;
        return QN_OK;
    }
    const double clip = attrs->max_norm > 0 ? attrs->max_norm / (norm + 1e-6) : 1;
    ref_store(hyper, QN_HYPER_CLIP, (clip < 1 ? clip : 1) / (double)scale[0]);
    scale[1] += 1;
    if ((double)scale[1] >= attrs->growth_steps) {
        scale[0] = scale[0] * 2 < MOST ? scale[0] * 2 : MOST;
        scale[1] = 0;
    }
    return QN_OK;
}

const qn_kernel qnk_ref_loss_scale_update = {.size = sizeof(qn_kernel),
                                             .op = "loss_scale_update",
                                             .run = run,
                                             .attrs_size = sizeof(qn_loss_scale_attrs)};
