/* one_hot_cuda.cu: a row of zeros with a one at the index, for every index. */
#include "cuda_walk.h"

namespace {

enum { BLOCK = 256 };

__global__ void one_hot_elements(cuda_walk index_walk, int64_t classes, const int64_t *index,
                                 float *y, cuda_fault *fault, uint64_t op) {
    for (int64_t i = gpu_first(); i < index_walk.count * classes; i += gpu_step()) {
        const int64_t row = i / classes, column = i - row * classes;
        int64_t at;
        cuda_walk_at<1>(index_walk, row, &at);
        const int64_t chosen = index[at];
        if (column == 0 && (chosen < 0 || chosen >= classes))
            gpu_fault(fault, CUDA_FAULT_INDEX, op, chosen, row, classes - 1);
        y[i] = column == chosen ? 1.0f : 0.0f;
    }
}

qn_status run(const qn_call *call) {
    const int64_t classes = ((const qn_one_hot_attrs *)call->attrs)->classes;
    const cuda_walk walk = cuda_walk_of(call->in);
    return gpu_launch(call, one_hot_elements, gpu_blocks(call, walk.count * classes, BLOCK), BLOCK,
                      0, walk, classes, (const int64_t *)call->in->data, (float *)call->out->data,
                      cuda_queue_of(call)->fault, gpu_op(call));
}

} // namespace

extern "C" const qn_kernel qnk_cuda_one_hot;
const qn_kernel qnk_cuda_one_hot = {
    .size = sizeof(qn_kernel), .op = "one_hot", .run = run, .attrs_size = sizeof(qn_one_hot_attrs)};
