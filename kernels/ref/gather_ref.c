/* gather: along one axis each output element takes x at its index; elsewhere positions agree. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_axis_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0], *index = &call->in[1];
    int64_t extent = x->shape[attrs->axis];
    qn_view base = *x; /* x, standing still along the axis: of index's shape */
    base.shape[attrs->axis] = index->shape[attrs->axis];
    base.stride[attrs->axis] = 0;
    int64_t position = 0;
    const qn_view *views[] = {index, &base};
    for (ref_walk w = ref_start(2, views); w.left > 0; ref_next(&w), position++) {
        int64_t i = ref_load_index(index, w.at[0]);
        if (i < 0 || i >= extent)
            return ref_bad_index(call, i, position, extent);
        ref_move(call->out, position, x, w.at[1] + i * x->stride[attrs->axis]);
    }
    return QN_OK;
}

const qn_kernel qnk_ref_gather = {
    .size = sizeof(qn_kernel), .op = "gather", .run = run, .attrs_size = sizeof(qn_axis_attrs)};
