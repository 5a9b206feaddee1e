/* matmul_cuda.cu: [.., m, k] x [.., k, n] (+ bias [n]), then an activation, of any strides: tiles
 * through shared memory. cuBLAS is asked before; this serves what is no matrix to it. */
#include "cuda_walk.h"

namespace {

enum { TILE = 32, DEPTH = 16, ROWS = 8, EACH = TILE / ROWS };

/** Strides of one product, and where each of a batch begins. */
struct matmul_shape {
    cuda_walk batch; /* of y, a, b over the leading axes */
    int64_t m, n, k, a_row, a_column, b_row, b_column, bias_step;
    bool relu;
};

/** A tile of a [TILE, DEPTH] and of b [DEPTH, TILE], zeros outside. */
template <class T>
__device__ inline void load_tiles(const matmul_shape &s, const T *a, const T *b, int64_t row,
                                  int64_t column, int64_t depth, T (*a_tile)[TILE + 1],
                                  T (*b_tile)[TILE + 1]) {
    const int thread = (int)(threadIdx.y * TILE + threadIdx.x);
    for (int i = thread; i < TILE * DEPTH; i += TILE * ROWS) {
        const int d = i / TILE, r = i % TILE;
        a_tile[d][r] = row + r < s.m && depth + d < s.k
                           ? a[(row + r) * s.a_row + (depth + d) * s.a_column]
                           : (T)0;
        b_tile[d][r] = depth + d < s.k && column + r < s.n
                           ? b[(depth + d) * s.b_row + (column + r) * s.b_column]
                           : (T)0;
    }
}

template <class T>
__global__ void matmul_tiles(matmul_shape s, const T *a, const T *b, const T *bias, T *y) {
    __shared__ T a_tile[DEPTH][TILE + 1], b_tile[DEPTH][TILE + 1];
    const int64_t across = (s.n + TILE - 1) / TILE, down = (s.m + TILE - 1) / TILE;
    for (int64_t t = blockIdx.x; t < s.batch.count * across * down; t += gridDim.x) {
        const int64_t row = t / across % down * TILE, column = t % across * TILE;
        int64_t at[3];
        T sum[EACH] = {};
        cuda_walk_at<3>(s.batch, t / (across * down), at);
        for (int64_t depth = 0; depth < s.k; depth += DEPTH) {
            __syncthreads();
            load_tiles(s, a + at[1], b + at[2], row, column, depth, a_tile, b_tile);
            __syncthreads();
            for (int d = 0; d < DEPTH; d++)
                for (int e = 0; e < EACH; e++)
                    sum[e] += a_tile[d][threadIdx.y + e * ROWS] * b_tile[d][threadIdx.x];
        }
        const int64_t j = column + threadIdx.x;
        for (int e = 0; e < EACH; e++) {
            const int64_t i = row + threadIdx.y + e * ROWS;
            if (i >= s.m || j >= s.n)
                continue;
            const T value = sum[e] + (bias ? bias[j * s.bias_step] : (T)0);
            y[at[0] + i * s.n + j] = s.relu && value < 0 ? (T)0 : value;
        }
    }
}

/** The leading axes of a view, which count the matrices of a batch. */
qn_view leading(const qn_view *view) {
    qn_view batch = *view;
    batch.rank -= 2;
    return batch;
}

template <class T> qn_status run_as(const qn_call *call) {
    const qn_view *a = &call->in[QN_MATMUL_A], *b = &call->in[QN_MATMUL_B], *y = call->out;
    const qn_view *bias = call->n_in > QN_MATMUL_BIAS && call->in[QN_MATMUL_BIAS].data
                              ? &call->in[QN_MATMUL_BIAS]
                              : nullptr;
    const qn_view batches[] = {leading(y), leading(a), leading(b)};
    const qn_view *views[] = {&batches[0], &batches[1], &batches[2]};
    const int row = y->rank - 2, column = y->rank - 1;
    matmul_shape s = {};
    s.batch = cuda_walk_of(3, views);
    s.m = y->shape[row];
    s.n = y->shape[column];
    s.k = a->shape[column];
    s.a_row = a->stride[row];
    s.a_column = a->stride[column];
    s.b_row = b->stride[row];
    s.b_column = b->stride[column];
    s.bias_step = bias ? bias->stride[0] : 0;
    s.relu = ((const qn_matmul_attrs *)call->attrs)->relu;
    const int64_t tiles = s.batch.count * ((s.m + TILE - 1) / TILE) * ((s.n + TILE - 1) / TILE);
    return gpu_launch(call, matmul_tiles<T>, gpu_blocks(call, tiles, 1), dim3(TILE, ROWS), 0, s,
                      (const T *)a->data, (const T *)b->data,
                      bias ? (const T *)bias->data : nullptr, (T *)y->data);
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_matmul;
const qn_kernel qnk_cuda_matmul = {
    .size = sizeof(qn_kernel), .op = "matmul", .run = run, .attrs_size = sizeof(qn_matmul_attrs)};
