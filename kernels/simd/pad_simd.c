/* pad_simd.c: the input copied into a window of the output, one value around it. */
#include "simd_copy.h"
#include "simd_fill.h"

#include <string.h>

static const char *pad_declines(const qn_call *call) {
    return simd_fill_declines(&call->out[0], ((const qn_pad_attrs *)call->attrs)->value);
}

static qn_status pad_run(const qn_call *call) {
    const qn_pad_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0];
    qn_view window = call->out[0];
    int64_t corner = 0;
    for (int axis = 0; axis < x->rank; axis++)
        corner += attrs->before[axis] * window.stride[axis];
    window.data = (char *)window.data + corner * (int64_t)qn_dtype_size(window.dtype);
    memcpy(window.shape, x->shape, sizeof(window.shape));
    simd_fill(call, &call->out[0], attrs->value);
    simd_copy(call, &window, x);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(pad) = {
    .size = sizeof(qn_kernel),
    .op = "pad",
    .declines = pad_declines,
    .run = pad_run,
    .attrs_size = sizeof(qn_pad_attrs),
};
