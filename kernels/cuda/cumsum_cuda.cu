/* cumsum_cuda.cu: y[i] = x[0] + ... + x[i] along an axis, or x[i] + ... + x[last] in reverse. A
 * warp takes a line: it sums 32 elements at a time (Hillis and Steele 1986) and carries their total
 * on. */
#include "cuda_lines.h"

namespace {

enum { WARPS = 8 };

template <class T> __global__ void cumsum_lines(cuda_lines lines, bool reverse, T *y, const T *x) {
    const int lane = threadIdx.x;
    for (int64_t line = (int64_t)blockIdx.x * WARPS + threadIdx.y; line < lines.first.count;
         line += (int64_t)gridDim.x * WARPS) {
        int64_t at[2];
        double carried = 0;
        cuda_walk_at<2>(lines.first, line, at);
        for (int64_t begin = 0; begin < lines.length; begin += GPU_WARP) {
            const int64_t step = begin + lane;
            const bool inside = step < lines.length;
            const int64_t i = reverse ? lines.length - 1 - step : step;
            double sum = inside ? (double)x[at[1] + i * lines.step[1]] : 0;
            for (int distance = 1; distance < GPU_WARP; distance *= 2) {
                const double before = __shfl_up_sync(0xFFFFFFFFu, sum, (unsigned)distance);
                sum += lane >= distance ? before : 0;
            }
            sum += carried;
            carried = __shfl_sync(0xFFFFFFFFu, sum, GPU_WARP - 1);
            if (inside)
                y[at[0] + i * lines.step[0]] = (T)sum;
        }
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    const qn_cumsum_attrs *attrs = (const qn_cumsum_attrs *)call->attrs;
    const cuda_lines lines = cuda_lines_of(attrs->axis, call->out, call->in);
    return gpu_launch(call, cumsum_lines<T>, gpu_blocks(call, lines.first.count, WARPS),
                      dim3(GPU_WARP, WARPS), 0, lines, (bool)attrs->reverse, (T *)call->out->data,
                      (const T *)call->in->data);
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_cumsum;
const qn_kernel qnk_cuda_cumsum = {
    .size = sizeof(qn_kernel), .op = "cumsum", .run = run, .attrs_size = sizeof(qn_cumsum_attrs)};
