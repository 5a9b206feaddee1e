/* where_cuda.cu: y = condition ? a : b, bit for bit: elements are moved as integers of their size.
 * The element that is not chosen is not read: it may never have been written. */
#include "cuda_walk.h"

namespace {

enum { BLOCK = 256 };

template <class T>
__global__ void where_kernel(cuda_walk walk, T *out, const uint8_t *condition, const T *a,
                             const T *b) {
    int64_t at[4];
    for (int64_t i = gpu_first(); i < walk.count; i += gpu_step()) {
        cuda_walk_at<4>(walk, i, at);
        out[at[0]] = *(condition[at[1]] ? a + at[2] : b + at[3]);
    }
}

template <class T> qn_status where_launch(const qn_call *call) {
    const qn_view *in = call->in,
                  *views[] = {call->out, &in[QN_WHERE_CONDITION], &in[QN_WHERE_A], &in[QN_WHERE_B]};
    const cuda_walk walk = cuda_walk_of(4, views);
    return gpu_launch(call, where_kernel<T>, gpu_blocks(call, walk.count, BLOCK), BLOCK, 0, walk,
                      (T *)call->out->data, (const uint8_t *)in[QN_WHERE_CONDITION].data,
                      (const T *)in[QN_WHERE_A].data, (const T *)in[QN_WHERE_B].data);
}

qn_status run(const qn_call *call) {
    switch (qn_dtype_size(call->out->dtype)) {
    case 1:
        return where_launch<uint8_t>(call);
    case 4:
        return where_launch<uint32_t>(call);
    case 8:
        return where_launch<uint64_t>(call);
    default:
        return QN_INTERNAL_ERROR; // there is no dtype of this size
    }
}

} // namespace

extern "C" const qn_kernel qnk_cuda_where;
const qn_kernel qnk_cuda_where = {.size = sizeof(qn_kernel), .op = "where", .run = run};
