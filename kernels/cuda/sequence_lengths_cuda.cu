/* sequence_lengths_cuda.cu: one more than the last position of each row that is not padding. */
#include "cuda_reduce.h"

namespace {

struct length_of_row {
    const int64_t *index;
    int64_t length, stride[2], padding;
    int64_t *out;

    __device__ void operator()(int64_t row) const {
        const int64_t *x = index + row * stride[0];
        int64_t left = length;
        while (left > 0 && x[(left - 1) * stride[1]] == padding)
            left--;
        out[row] = left;
    }
};

qn_status run(const qn_call *call) {
    const qn_view *index = &call->in[0];
    const length_of_row row{(const int64_t *)index->data,
                            index->shape[1],
                            {index->stride[0], index->stride[1]},
                            ((const qn_sequence_lengths_attrs *)call->attrs)->padding,
                            (int64_t *)call->out->data};
    return each_launch(call, index->shape[0], row);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_sequence_lengths;
const qn_kernel qnk_cuda_sequence_lengths = {.size = sizeof(qn_kernel),
                                             .op = "sequence_lengths",
                                             .run = run,
                                             .attrs_size = sizeof(qn_sequence_lengths_attrs)};
