/* embedding_bag_cuda.cu: the mean or sum of the rows of a table that each bag names. */
#include "cuda_reduce.h"

namespace {

template <class T> struct bag_element {
    int64_t rows, width, length, stride[2], index_stride[2];
    int64_t padding;
    bool mean;
    const T *table;
    const int64_t *index;
    T *out;
    cuda_fault *fault;
    uint64_t op;

    __device__ void operator()(int64_t i) const {
        const int64_t bag = i / width, c = i % width;
        int64_t count = 0;
        gpu_sum<T> sum;
        for (int64_t at = 0; at < length; at++) {
            const int64_t row = index[bag * index_stride[0] + at * index_stride[1]];
            const bool valid = row >= 0 && row < rows;
            if (!valid)
                gpu_fault(fault, CUDA_FAULT_INDEX, op, row, bag * length + at, rows - 1);
            if (!valid || row == padding)
                continue;
            count++;
            sum.add(table[row * stride[0] + c * stride[1]]);
        }
        out[i] = (T)(sum.value() / (mean && count > 0 ? (double)count : 1));
    }
};

template <class T> qn_status embedding_bag(const qn_call *call) {
    const auto *attrs = (const qn_embedding_attrs *)call->attrs;
    const qn_view *table = &call->in[0], *index = &call->in[1];
    const bag_element<T> element{table->shape[0],
                                 table->shape[1],
                                 index->shape[1],
                                 {table->stride[0], table->stride[1]},
                                 {index->stride[0], index->stride[1]},
                                 attrs->padding,
                                 attrs->bag == QN_EMBEDDING_MEAN,
                                 (const T *)table->data,
                                 (const int64_t *)index->data,
                                 (T *)call->out->data,
                                 cuda_queue_of(call)->fault,
                                 gpu_op(call)};
    return each_launch(call, qn_view_count(call->out), element);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? embedding_bag<double>(call) : embedding_bag<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_embedding_bag;
const qn_kernel qnk_cuda_embedding_bag = {.size = sizeof(qn_kernel),
                                          .op = "embedding_bag",
                                          .run = run,
                                          .attrs_size = sizeof(qn_embedding_attrs)};
