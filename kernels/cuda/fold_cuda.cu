/* fold_cuda.cu: y[.., i, ..] = the sum of x[.., window, .., j] over all windows and places j in
 * them with window * step + j = i. A thread takes an element of y and visits the windows that hold
 * it, in their order. */
#include "cuda_walk.h"

namespace {

enum { BLOCK = 256 };

/** The windows along the axis, and how x steps from one to the next and within one. */
struct fold_shape {
    int axis;
    int64_t windows, size, step, window_stride, place_stride;
};

/** `walk`: the output, and x at its first window and place, standing still along the axis. */
template <class T>
__global__ void fold_elements(cuda_walk walk, fold_shape s, int64_t extent, int64_t inner,
                              const T *x, T *y) {
    for (int64_t i = gpu_first(); i < walk.count; i += gpu_step()) {
        int64_t at[2];
        cuda_walk_at<2>(walk, i, at);
        const int64_t place = i / inner % extent;
        int64_t window = place < s.size ? 0 : (place - s.size) / s.step + 1;
        double sum = 0;
        for (; window < s.windows && window * s.step <= place; window++)
            sum += (double)
                x[at[1] + window * s.window_stride + (place - window * s.step) * s.place_stride];
        y[at[0]] = (T)sum;
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    const qn_fold_attrs *attrs = (const qn_fold_attrs *)call->attrs;
    const qn_view *x = call->in, *y = call->out;
    const int last = x->rank - 1;
    qn_view still = *x;
    still.rank = y->rank;
    still.shape[attrs->axis] = y->shape[attrs->axis];
    still.stride[attrs->axis] = 0;
    const fold_shape s = {attrs->axis, x->shape[attrs->axis],  x->shape[last],
                          attrs->step, x->stride[attrs->axis], x->stride[last]};
    const cuda_walk walk = cuda_walk_of(y, &still);
    return gpu_launch(call, fold_elements<T>, gpu_blocks(call, walk.count, BLOCK), BLOCK, 0, walk,
                      s, y->shape[attrs->axis], y->stride[attrs->axis], (const T *)x->data,
                      (T *)y->data);
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_fold;
const qn_kernel qnk_cuda_fold = {
    .size = sizeof(qn_kernel), .op = "fold", .run = run, .attrs_size = sizeof(qn_fold_attrs)};
