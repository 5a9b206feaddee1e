/* fold: y[..., i, ...] = the sum of x[..., window, ..., j] over all windows and places j in them
 * with window * step + j = i. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_fold_attrs *attrs = call->attrs;
    const qn_view *x = call->in;
    /* The output as x's windows show it: with the axis of a window's elements last. */
    qn_view windows = *call->out;
    windows.rank = x->rank;
    windows.shape[x->rank - 1] = x->shape[x->rank - 1];
    windows.stride[x->rank - 1] = windows.stride[attrs->axis];
    windows.shape[attrs->axis] = x->shape[attrs->axis];
    windows.stride[attrs->axis] *= attrs->step;
    ref_fill(call->out, 0);
    for (ref_walk w = ref_start(2, (const qn_view *[]){x, &windows}); w.left > 0; ref_next(&w))
        ref_store(call->out, w.at[1], ref_load(call->out, w.at[1]) + ref_load(x, w.at[0]));
    return QN_OK;
}

const qn_kernel qnk_ref_fold = {
    .size = sizeof(qn_kernel), .op = "fold", .run = run, .attrs_size = sizeof(qn_fold_attrs)};
