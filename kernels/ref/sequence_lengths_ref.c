/* sequence_lengths: one more than the last position of each row that is not padding. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_view *index = &call->in[0];
    const int64_t padding = ((const qn_sequence_lengths_attrs *)call->attrs)->padding;
    int64_t *out = call->out->data;
    for (int64_t i = 0; i < index->shape[0]; i++) {
        int64_t length = index->shape[1], at = i * index->stride[0];
        while (length > 0 && ref_load_index(index, at + (length - 1) * index->stride[1]) == padding)
            length--;
        out[i] = length;
    }
    return QN_OK;
}

const qn_kernel qnk_ref_sequence_lengths = {.size = sizeof(qn_kernel),
                                            .op = "sequence_lengths",
                                            .run = run,
                                            .attrs_size = sizeof(qn_sequence_lengths_attrs)};
