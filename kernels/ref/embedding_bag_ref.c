/* embedding_bag: the mean or sum of the rows of a table that each bag names. */
#include "ref_bag.h"

/** Fails when an index of a bag is no row. */
static qn_status check(const qn_call *call, int64_t bag) {
    const qn_view *table = &call->in[0], *index = &call->in[1];
    for (int64_t at = 0; at < index->shape[1]; at++) {
        int64_t row = ref_bag_index(index, bag, at);
        if (row < 0 || row >= table->shape[0])
            return ref_bad_index(call, row, bag * index->shape[1] + at, table->shape[0]);
    }
    return QN_OK;
}

static qn_status run(const qn_call *call) {
    const qn_embedding_attrs *attrs = call->attrs;
    const qn_view *table = &call->in[0], *index = &call->in[1];
    const int64_t width = table->shape[1];
    for (int64_t bag = 0; bag < index->shape[0]; bag++) {
        qn_status status = check(call, bag);
        if (status != QN_OK)
            return status;
        double scale = ref_bag_scale(index, bag, attrs);
        for (int64_t c = 0; c < width; c++) {
            double total = 0;
            for (int64_t at = 0; at < index->shape[1]; at++) {
                int64_t row = ref_bag_index(index, bag, at);
                if (row != attrs->padding)
                    total += ref_load(table, row * table->stride[0] + c * table->stride[1]);
            }
            ref_store(call->out, bag * width + c, scale * total);
        }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_embedding_bag = {.size = sizeof(qn_kernel),
                                         .op = "embedding_bag",
                                         .run = run,
                                         .attrs_size = sizeof(qn_embedding_attrs)};
