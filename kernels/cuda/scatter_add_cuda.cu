/* scatter_add_cuda.cu: zeros, then along one axis each element of x is added at its index.
 *
 * Each line of the output is dealt out to owners. An owner reads all of the line's indices, and
 * adds, in their order, the elements that are its own: no two threads write to one place. */
#include "cuda_rows.h"

namespace {

template <class T> struct scatter_owner {
    cuda_rows lines;                /**< of x, index, out */
    int64_t owners;                 /**< of each line; a power of 2 */
    int64_t extent, stride, behind; /**< of out along the axis; elements of x behind the axis */
    const T *x;
    const int64_t *index;
    T *out;
    cuda_fault *fault;
    uint64_t op;

    __device__ void operator()(int64_t i) const {
        const int64_t line = i % lines.outer.count, owner = i / lines.outer.count;
        int64_t start[3], at[2];
        lines_at<3>(lines.outer, line, start);
        T *to = out + start[2];
        for (int64_t k = owner; k < extent; k += owners)
            to[k * stride] = 0;
        for (int64_t j = 0; j < lines.inner.count; j++) {
            lines_at<2>(lines.inner, j, at);
            const int64_t k = index[start[1] + at[1]];
            if (k < 0 || k >= extent) {
                if (owner == 0)
                    gpu_fault(fault, CUDA_FAULT_INDEX, op, k, position(line, j), extent - 1);
            } else if ((k & (owners - 1)) == owner) {
                to[k * stride] += x[start[0] + at[0]];
            }
        }
    }

    /** Where element j of a line is in x, in row-major order. */
    __device__ int64_t position(int64_t line, int64_t j) const {
        return (line / behind * lines.inner.count + j) * behind + line % behind;
    }
};

template <class T> qn_status scatter_add(const qn_call *call) {
    const auto *attrs = (const qn_scatter_attrs *)call->attrs;
    const qn_view *x = &call->in[0], *index = &call->in[1], *out = call->out;
    const qn_view *views[] = {x, index, out};
    const cuda_rows lines = cuda_rows_of(3, views, UINT32_C(1) << attrs->axis);
    int64_t owners = 1, behind = 1;
    while (2 * owners <= attrs->extent && 2 * owners * lines.outer.count <= 65536)
        owners *= 2;
    for (int axis = attrs->axis + 1; axis < x->rank; axis++)
        behind *= x->shape[axis];
    const scatter_owner<T> owner{lines,
                                 owners,
                                 attrs->extent,
                                 out->stride[attrs->axis],
                                 behind,
                                 (const T *)x->data,
                                 (const int64_t *)index->data,
                                 (T *)out->data,
                                 cuda_queue_of(call)->fault,
                                 gpu_op(call)};
    return each_launch(call, owners * lines.outer.count, owner);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? scatter_add<double>(call) : scatter_add<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_scatter_add;
const qn_kernel qnk_cuda_scatter_add = {.size = sizeof(qn_kernel),
                                        .op = "scatter_add",
                                        .run = run,
                                        .attrs_size = sizeof(qn_scatter_attrs)};
