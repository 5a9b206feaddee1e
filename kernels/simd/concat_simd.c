/* concat_simd.c: parts joined along an axis, each copied into its window of the output. */
#include "simd_copy.h"

static qn_status concat_run(const qn_call *call) {
    const qn_axis_attrs *attrs = call->attrs;
    qn_view window = call->out[0];
    size_t size = qn_dtype_size(window.dtype);
    for (int k = 0; k < call->n_in; k++) {
        int64_t extent = call->in[k].shape[attrs->axis];
        window.shape[attrs->axis] = extent;
        simd_copy(call, &window, &call->in[k]);
        window.data = (char *)window.data + extent * window.stride[attrs->axis] * (int64_t)size;
    }
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(concat) = {
    .size = sizeof(qn_kernel),
    .op = "concat",
    .run = concat_run,
    .attrs_size = sizeof(qn_axis_attrs),
};
