/* limit_norm_cuda.cu: rows whose Euclidean norm is above the limit are scaled down to it, in place.
 * A block takes a row. */
#include "cuda_reduce.h"

namespace {

template <class T> __global__ void limit_rows(int64_t rows, int64_t width, double limit, T *x) {
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        T *values = x + row * width;
        double sum = 0;
        for (int64_t i = threadIdx.x; i < width; i += blockDim.x)
            sum += (double)values[i] * (double)values[i];
        const double norm = sqrt(block_reduce(sum, reduce_plus{}));
        for (int64_t i = threadIdx.x; norm > limit && i < width; i += blockDim.x)
            values[i] = (T)((double)values[i] * (limit / norm));
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    const qn_view *x = &call->in[0]; /* contiguous */
    const int64_t count = qn_view_count(x), rows = count > 0 ? x->shape[0] : 0;
    return gpu_launch(call, limit_rows<T>, gpu_blocks(call, rows, 1), TEAM_BLOCK, 0, rows,
                      rows > 0 ? count / rows : 0, ((const qn_scalar_attrs *)call->attrs)->value,
                      (T *)x->data);
}

qn_status run(const qn_call *call) {
    return call->in[0].dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_limit_norm;
const qn_kernel qnk_cuda_limit_norm = {.size = sizeof(qn_kernel),
                                       .op = "limit_norm",
                                       .run = run,
                                       .attrs_size = sizeof(qn_scalar_attrs)};
