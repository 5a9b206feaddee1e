/* embedding_cuda.cu: rows of a table, picked by index. */
#include "cuda_rows.h"

namespace {

template <class Word> struct embedded_element {
    cuda_walk walk; /**< of index */
    int64_t rows, width, stride[2];
    const Word *table;
    const int64_t *index;
    Word *out;
    cuda_fault *fault;
    uint64_t op;

    __device__ void operator()(int64_t i) const {
        const int64_t position = i / width, c = i % width;
        int64_t at;
        lines_at<1>(walk, position, &at);
        const int64_t row = index[at];
        const bool valid = row >= 0 && row < rows;
        if (!valid)
            gpu_fault(fault, CUDA_FAULT_INDEX, op, row, position, rows - 1);
        out[i] = valid ? table[row * stride[0] + c * stride[1]] : Word(0);
    }
};

template <class Word> qn_status embedding(const qn_call *call) {
    const qn_view *table = &call->in[0], *index = &call->in[1];
    const embedded_element<Word> element{cuda_walk_of(index),
                                         table->shape[0],
                                         table->shape[1],
                                         {table->stride[0], table->stride[1]},
                                         (const Word *)table->data,
                                         (const int64_t *)index->data,
                                         (Word *)call->out->data,
                                         cuda_queue_of(call)->fault,
                                         gpu_op(call)};
    return each_launch(call, qn_view_count(call->out), element);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? embedding<uint64_t>(call) : embedding<uint32_t>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_embedding;
const qn_kernel qnk_cuda_embedding = {.size = sizeof(qn_kernel),
                                      .op = "embedding",
                                      .run = run,
                                      .attrs_size = sizeof(qn_embedding_attrs)};
