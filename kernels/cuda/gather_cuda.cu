/* gather_cuda.cu: along one axis each output element takes x at its index; elsewhere positions
 * agree. */
#include "cuda_rows.h"

namespace {

template <class Word> struct gathered_element {
    cuda_walk walk; /**< of index, and of x standing still along the axis */
    int64_t extent, stride;
    const int64_t *index;
    const Word *x;
    Word *out;
    cuda_fault *fault;
    uint64_t op;

    __device__ void operator()(int64_t i) const {
        int64_t at[2];
        lines_at<2>(walk, i, at);
        const int64_t from = index[at[0]];
        const bool valid = from >= 0 && from < extent;
        if (!valid)
            gpu_fault(fault, CUDA_FAULT_INDEX, op, from, i, extent - 1);
        out[i] = valid ? x[at[1] + from * stride] : Word(0);
    }
};

template <class Word> qn_status gather(const qn_call *call) {
    const int axis = ((const qn_axis_attrs *)call->attrs)->axis;
    const qn_view *x = &call->in[0], *index = &call->in[1];
    qn_view base = *x;
    base.stride[axis] = 0;
    const gathered_element<Word> element{
        cuda_walk_of(index, &base),   x->shape[axis],        x->stride[axis],
        (const int64_t *)index->data, (const Word *)x->data, (Word *)call->out->data,
        cuda_queue_of(call)->fault,   gpu_op(call)};
    return each_launch(call, element.walk.count, element);
}

qn_status run(const qn_call *call) {
    switch (qn_dtype_size(call->in->dtype)) {
    case 1:
        return gather<uint8_t>(call);
    case 4:
        return gather<uint32_t>(call);
    case 8:
        return gather<uint64_t>(call);
    default:
        return QN_INTERNAL_ERROR; // there is no dtype of this size
    }
}

} // namespace

extern "C" const qn_kernel qnk_cuda_gather;
const qn_kernel qnk_cuda_gather = {
    .size = sizeof(qn_kernel), .op = "gather", .run = run, .attrs_size = sizeof(qn_axis_attrs)};
