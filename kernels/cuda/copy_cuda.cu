/* copy_cuda.cu: the same elements, bit for bit, in another layout. Where reading along one axis and
 * writing along another would each touch memory in long steps, tiles go through shared memory. */
#include "cuda_copy.h"
#include "cuda_map.h"

namespace {

enum { TILE = 32, TILE_ROWS = 8 };

template <class T> struct move_f {
    __device__ T operator()(T x) const { return x; }
};

/** y[b, i, j] = x[b, j, i] in strides: y steps by 1 along j, x by 1 along i. */
struct swap_shape {
    int64_t batches, rows, columns;
    int64_t out_batch, out_row, in_batch, in_column;
};

template <class T> __global__ void copy_swapped(swap_shape s, T *out, const T *in) {
    __shared__ T tile[TILE][TILE + 1]; /* one more, so that columns lie in different banks */
    const int64_t across = (s.columns + TILE - 1) / TILE, down = (s.rows + TILE - 1) / TILE;
    for (int64_t t = blockIdx.x; t < s.batches * across * down; t += gridDim.x) {
        const int64_t batch = t / (across * down), row = t / across % down * TILE;
        const int64_t column = t % across * TILE;
        __syncthreads();
        for (int k = threadIdx.y; k < TILE; k += TILE_ROWS)
            if (column + k < s.columns && row + threadIdx.x < s.rows)
                tile[k][threadIdx.x] =
                    in[batch * s.in_batch + (column + k) * s.in_column + row + threadIdx.x];
        __syncthreads();
        for (int k = threadIdx.y; k < TILE; k += TILE_ROWS)
            if (row + k < s.rows && column + threadIdx.x < s.columns)
                out[batch * s.out_batch + (row + k) * s.out_row + column + threadIdx.x] =
                    tile[threadIdx.x][k];
    }
}

/** Whether a walk of (out, in) is a transposition of its last two axes. */
bool is_swapped(const cuda_walk &w) {
    const int last = w.rank - 1;
    return (w.rank == 2 || w.rank == 3) && w.stride[0][last] == 1 && w.stride[1][last - 1] == 1 &&
           w.shape[last] > 1 && w.shape[last - 1] > 1;
}

template <class T> qn_status copy_as(const qn_call *call, const qn_view *to, const qn_view *from) {
    const cuda_walk w = cuda_walk_of(to, from);
    T *out = (T *)to->data;
    const T *in = (const T *)from->data;
    if (w.count > 0 && is_swapped(w)) {
        const int last = w.rank - 1;
        const bool batched = w.rank == 3;
        const swap_shape s = {batched ? w.shape[0] : 1,
                              w.shape[last - 1],
                              w.shape[last],
                              batched ? w.stride[0][0] : 0,
                              w.stride[0][last - 1],
                              batched ? w.stride[1][0] : 0,
                              w.stride[1][last]};
        const int64_t tiles =
            s.batches * ((s.rows + TILE - 1) / TILE) * ((s.columns + TILE - 1) / TILE);
        return gpu_launch(call, copy_swapped<T>, gpu_blocks(call, tiles, 1), dim3(TILE, TILE_ROWS),
                          0, s, out, in);
    }
    if (cuda_walk_is_dense(w, 0) && cuda_walk_is_dense(w, 1) && map_aligned<T>(out) &&
        map_aligned<T>(in))
        return gpu_launch(call, map_dense<move_f<T>, T, T>,
                          gpu_blocks(call, (w.count + MAP_PACK - 1) / MAP_PACK, MAP_BLOCK),
                          MAP_BLOCK, 0, move_f<T>{}, w.count, out, in);
    return gpu_launch(call, map_strided<move_f<T>, T, T>, gpu_blocks(call, w.count, MAP_BLOCK),
                      MAP_BLOCK, 0, move_f<T>{}, w, out, in);
}

qn_status run(const qn_call *call) { return cuda_copy(call, call->out, call->in); }

} // namespace

qn_status cuda_copy(const qn_call *call, const qn_view *to, const qn_view *from) {
    switch (qn_dtype_size(to->dtype)) {
    case 1:
        return copy_as<uint8_t>(call, to, from);
    case 2:
        return copy_as<uint16_t>(call, to, from);
    case 4:
        return copy_as<uint32_t>(call, to, from);
    case 8:
        return copy_as<uint64_t>(call, to, from);
    default:
        return QN_INTERNAL_ERROR; // there is no dtype of this size
    }
}

extern "C" const qn_kernel qnk_cuda_copy;
const qn_kernel qnk_cuda_copy = {
    .size = sizeof(qn_kernel), .op = "copy", .run = run, .dtypes = 1u << QN_BF16 | 1u << QN_F16};
