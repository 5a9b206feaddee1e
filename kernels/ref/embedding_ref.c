/* embedding: rows of a table, picked by index. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_view *table = &call->in[0], *index = &call->in[1];
    const int64_t rows = table->shape[0], width = table->shape[1];
    int64_t position = 0;
    for (ref_walk w = ref_start(1, &index); w.left > 0; ref_next(&w), position++) {
        int64_t row = ref_load_index(index, w.at[0]);
        if (row < 0 || row >= rows)
            return ref_bad_index(call, row, position, rows);
        for (int64_t c = 0; c < width; c++)
            ref_move(call->out, position * width + c, table,
                     row * table->stride[0] + c * table->stride[1]);
    }
    return QN_OK;
}

const qn_kernel qnk_ref_embedding = {.size = sizeof(qn_kernel),
                                     .op = "embedding",
                                     .run = run,
                                     .attrs_size = sizeof(qn_embedding_attrs)};
