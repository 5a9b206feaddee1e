/* scatter_add: zeros, then along one axis each element of x is added at its index. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_scatter_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0], *index = &call->in[1], *out = call->out;
    qn_view base = *out; /* the output, standing still along the axis: of x's shape */
    base.shape[attrs->axis] = x->shape[attrs->axis];
    base.stride[attrs->axis] = 0;
    ref_fill(out, 0);
    int64_t position = 0;
    const qn_view *views[] = {x, index, &base};
    for (ref_walk w = ref_start(3, views); w.left > 0; ref_next(&w), position++) {
        int64_t i = ref_load_index(index, w.at[1]);
        if (i < 0 || i >= attrs->extent)
            return ref_bad_index(call, i, position, attrs->extent);
        int64_t at = w.at[2] + i * out->stride[attrs->axis];
        ref_store(out, at, ref_load(out, at) + ref_load(x, w.at[0]));
    }
    return QN_OK;
}

const qn_kernel qnk_ref_scatter_add = {.size = sizeof(qn_kernel),
                                       .op = "scatter_add",
                                       .run = run,
                                       .attrs_size = sizeof(qn_scatter_attrs)};
