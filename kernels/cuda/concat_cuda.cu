/* concat_cuda.cu: parts joined along an axis, each copied into its window of the output. */
#include "cuda_copy.h"

namespace {

qn_status run(const qn_call *call) {
    const int axis = ((const qn_axis_attrs *)call->attrs)->axis;
    qn_view window = *call->out;
    qn_status status = QN_OK;
    for (int i = 0; i < call->n_in && status == QN_OK; i++) {
        window.shape[axis] = call->in[i].shape[axis];
        status = cuda_copy(call, &window, &call->in[i]);
        window.data = (char *)window.data + window.shape[axis] * window.stride[axis] *
                                                (int64_t)qn_dtype_size(window.dtype);
    }
    return status;
}

} // namespace

extern "C" const qn_kernel qnk_cuda_concat;
const qn_kernel qnk_cuda_concat = {.size = sizeof(qn_kernel),
                                   .op = "concat",
                                   .run = run,
                                   .attrs_size = sizeof(qn_axis_attrs),
                                   .dtypes = 1u << QN_BF16 | 1u << QN_F16};
