/* pad_cuda.cu: the input copied into a window of the output, a value around it. */
#include "cuda_copy.h"

namespace {

qn_status run(const qn_call *call) {
    const qn_pad_attrs *attrs = (const qn_pad_attrs *)call->attrs;
    qn_view window = *call->out;
    int64_t corner = 0;
    for (int axis = 0; axis < window.rank; axis++) {
        corner += attrs->before[axis] * window.stride[axis];
        window.shape[axis] = call->in->shape[axis];
    }
    window.data = (char *)window.data + corner * (int64_t)qn_dtype_size(window.dtype);
    const qn_status status = cuda_fill(call, call->out, attrs->value);
    return status != QN_OK ? status : cuda_copy(call, &window, call->in);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_pad;
const qn_kernel qnk_cuda_pad = {.size = sizeof(qn_kernel),
                                .op = "pad",
                                .run = run,
                                .attrs_size = sizeof(qn_pad_attrs),
                                .dtypes = 1u << QN_BF16 | 1u << QN_F16};
