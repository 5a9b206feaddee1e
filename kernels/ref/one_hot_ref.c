/* one_hot: a row of zeros with a one at the index, for every index. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_one_hot_attrs *attrs = call->attrs;
    const qn_view *index = call->in;
    ref_fill(call->out, 0);
    int64_t row = 0;
    for (ref_walk w = ref_start(1, &index); w.left > 0; ref_next(&w), row++) {
        int64_t i = ref_load_index(index, w.at[0]);
        if (i < 0 || i >= attrs->classes)
            return ref_bad_index(call, i, row, attrs->classes);
        ref_store(call->out, row * attrs->classes + i, 1);
    }
    return QN_OK;
}

const qn_kernel qnk_ref_one_hot = {
    .size = sizeof(qn_kernel), .op = "one_hot", .run = run, .attrs_size = sizeof(qn_one_hot_attrs)};
