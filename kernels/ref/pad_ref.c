/* pad: the input copied into a window of the output, a value around it. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_pad_attrs *attrs = call->attrs;
    const qn_view *x = call->in;
    int64_t corner = 0;
    for (int axis = 0; axis < x->rank; axis++)
        corner += attrs->before[axis] * call->out->stride[axis];
    qn_view window = ref_at(call->out, corner);
    memcpy(window.shape, x->shape, sizeof(window.shape));
    ref_fill(call->out, attrs->value);
    ref_copy(&window, x);
    return QN_OK;
}

const qn_kernel qnk_ref_pad = {
    .size = sizeof(qn_kernel), .op = "pad", .run = run, .attrs_size = sizeof(qn_pad_attrs)};
