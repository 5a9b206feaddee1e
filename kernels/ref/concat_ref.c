/* concat: parts joined along an axis, each copied into its window of the output. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_axis_attrs *attrs = call->attrs;
    int64_t start = 0;
    for (int i = 0; i < call->n_in; i++) {
        qn_view window = ref_at(call->out, start * call->out->stride[attrs->axis]);
        window.shape[attrs->axis] = call->in[i].shape[attrs->axis];
        ref_copy(&window, &call->in[i]);
        start += window.shape[attrs->axis];
    }
    return QN_OK;
}

const qn_kernel qnk_ref_concat = {
    .size = sizeof(qn_kernel), .op = "concat", .run = run, .attrs_size = sizeof(qn_axis_attrs)};
