/* square_sum_cuda.cu: the sum of squares of all elements, or of those in rows that are seen, in
 * double. Blocks sum pieces, as many as the number of elements asks for, and one more block joins
 * them: one order for a shape. */
#include "cuda_reduce.h"
#include "cuda_walk.h"

namespace {

enum { MOST_PIECES = 512 };

/** The rows that count: all of them where `seen` is NULL. */
struct seen_rows {
    const uint8_t *seen;
    int64_t step, width;
};

template <class T>
__global__ void square_sum_pieces(cuda_walk walk, seen_rows rows, const T *x, double *pieces) {
    double sum = 0;
    for (int64_t i = gpu_first(); i < walk.count; i += gpu_step()) {
        if (rows.seen && !rows.seen[i / rows.width * rows.step])
            continue;
        int64_t at;
        cuda_walk_at<1>(walk, i, &at);
        sum += (double)x[at] * (double)x[at];
    }
    sum = team_sum<TEAM_BLOCK>(sum);
    if (threadIdx.x == 0)
        pieces[blockIdx.x] = sum;
}

template <class T> __global__ void square_sum_join(int count, const double *pieces, T *y) {
    double sum = 0;
    for (int i = (int)threadIdx.x; i < count; i += TEAM_BLOCK)
        sum += pieces[i];
    sum = team_sum<TEAM_BLOCK>(sum);
    if (threadIdx.x == 0)
        *y = (T)sum;
}

/** Pieces of a sum of `count` elements, at least one. They follow from the shape alone, not from
 * the device. */
int pieces_of(int64_t count) {
    const int64_t pieces = (count + TEAM_BLOCK - 1) / TEAM_BLOCK;
    return pieces < 1 ? 1 : pieces < MOST_PIECES ? (int)pieces : (int)MOST_PIECES;
}

size_t workspace(const qn_call *call) {
    return (size_t)pieces_of(qn_view_count(&call->in[0])) * sizeof(double);
}

template <class T> qn_status run_as(const qn_call *call) {
    const qn_view *x = &call->in[0];
    const cuda_walk walk = cuda_walk_of(x);
    seen_rows rows = {nullptr, 0, 1};
    if (call->n_in > 1 && call->in[1].data && walk.count > 0)
        rows = {(const uint8_t *)call->in[1].data, call->in[1].stride[0], walk.count / x->shape[0]};
    const int pieces = pieces_of(walk.count);
    double *sums = (double *)call->workspace;
    const qn_status status = gpu_launch(call, square_sum_pieces<T>, dim3((unsigned)pieces),
                                        TEAM_BLOCK, 0, walk, rows, (const T *)x->data, sums);
    if (status != QN_OK)
        return status;
    return gpu_launch(call, square_sum_join<T>, 1, TEAM_BLOCK, 0, pieces, (const double *)sums,
                      (T *)call->out->data);
}

qn_status run(const qn_call *call) {
    return call->in[0].dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_square_sum;
const qn_kernel qnk_cuda_square_sum = {
    .size = sizeof(qn_kernel), .op = "square_sum", .workspace = workspace, .run = run};
