/* clip_factor: hyper[QN_HYPER_CLIP] = min(1, largest / (sqrt(square_sum) + 1e-6)). */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_scalar_attrs *largest = call->attrs;
    double factor = largest->value / (sqrt(ref_load(&call->in[0], 0)) + 1e-6);
    ref_store(&call->in[1], QN_HYPER_CLIP, factor > 1 ? 1 : factor);
    return QN_OK;
}

const qn_kernel qnk_ref_clip_factor = {.size = sizeof(qn_kernel),
                                       .op = "clip_factor",
                                       .run = run,
                                       .attrs_size = sizeof(qn_scalar_attrs)};
