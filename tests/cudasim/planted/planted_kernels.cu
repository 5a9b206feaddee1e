/* planted_kernels.cu: kernels with faults that the simulated GPU must report, and the same ones
 * without. */
#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "cudasim_device.h"
#endif

#include "planted.h"

namespace {

enum { BLOCK = 256, WARP = 32 };
constexpr unsigned all_lanes = 0xFFFFFFFFu, odd_lanes = 0xAAAAAAAAu, low_lanes = 0x0000FFFFu,
                   high_lanes = 0xFFFF0000u;

__device__ int index() { return (int)(blockIdx.x * blockDim.x + threadIdx.x); }

/* ---- memory ----------------------------------------------------------------------------- */

__global__ void copy(bool, int n, const float *x, float *y) {
    if (index() < n)
        y[index()] = x[index()];
}

__global__ void copy_struct(planted_data data) {
    if (index() < data.n)
        data.y[index()] = data.x[index()];
}

__global__ void copy_vectors(int n, const float4 *x, float4 *y) {
    if (index() < n / 4)
        y[index()] = x[index()];
}

__global__ void shift(bool correct, int n, const float *x, float *y) {
    if (index() < (correct ? n - 1 : n))
        y[index()] = x[index() + 1];
}

__global__ void copy_past_end(bool correct, int n, const float *x, float *y) {
    if (index() < (correct ? n : n + 1))
        y[index()] = x[index() < n ? index() : 0];
}

__global__ void even(bool correct, int n, const float *x, float *y) {
    if (index() < n && (correct || index() % 2 == 0))
        y[index()] = x[index()];
}

__global__ void sum(bool correct, int n, const float *x, float *y) {
    if (index() >= n)
        return;
    if (correct)
        atomicAdd(y, x[index()]);
    else
        *y += x[index()];
}

__global__ void mixed_atomics(bool correct, int n, const float *x, float *y) {
    if (index() >= n)
        return;
    if (correct || index() != n / 2)
        atomicAdd(y, x[index()]);
    else
        *y += x[index()];
}

/* ---- blocks ----------------------------------------------------------------------------- */

__global__ void reverse(bool correct, const float *x, float *y) {
    __shared__ float tile[BLOCK];
    const int t = (int)threadIdx.x;
    tile[t] = x[t];
    if (correct)
        __syncthreads();
    y[t] = tile[BLOCK - 1 - t];
}

__global__ void shift_up(bool correct, const float *x, float *y) {
    __shared__ float tile[BLOCK + 1];
    const int t = (int)threadIdx.x;
    tile[t + 1] = x[t];
    if (t == 0)
        tile[0] = 0;
    if (correct)
        __syncthreads();
    y[t] = tile[t];
}

__global__ void sum_tiles(bool correct, int tiles, const float *x, float *y) {
    __shared__ float tile[BLOCK];
    const int t = (int)threadIdx.x;
    float total = 0;
    for (int i = 0; i < tiles; i++) {
        tile[t] = x[i * BLOCK + t];
        __syncthreads();
        total += tile[(t + 1) % BLOCK] + tile[(t + BLOCK / 2) % BLOCK];
        if (correct)
            __syncthreads();
    }
    y[t] = total;
}

__global__ void divergent_barrier(bool correct, const float *x, float *y) {
    __shared__ float tile[BLOCK];
    const int t = (int)threadIdx.x;
    tile[t] = x[t];
    if (correct || t < BLOCK / 2)
        __syncthreads();
    else
        __syncthreads();
    y[t] = tile[BLOCK - 1 - t];
}

__global__ void exit_before(bool correct, int n, const float *x, float *y) {
    __shared__ float tile[BLOCK];
    const int t = (int)threadIdx.x;
    if (!correct && t >= n)
        return;
    if (t < n)
        tile[t] = x[t];
    __syncthreads();
    if (t < n)
        y[t] = tile[n - 1 - t];
}

__global__ void half_shared(bool correct, const float *x, float *y) {
    __shared__ float tile[BLOCK];
    const int t = (int)threadIdx.x;
    if (correct || t < BLOCK / 2)
        tile[t] = x[t];
    __syncthreads();
    y[t] = tile[t];
}

__global__ void dynamic_shared(const float *x, float *y) {
#ifdef __CUDACC__
    extern __shared__ float tile[];
#else
    float *tile = static_cast<float *>(cudasim::dynamic_shared());
#endif
    const int t = (int)threadIdx.x, last = (int)blockDim.x - 1;
    tile[t] = x[t];
    __syncthreads();
    y[t] = tile[last - t];
}

__global__ void shared_past_end(bool correct, const float *x, float *y) {
    __shared__ float tile[WARP];
    const int t = (int)threadIdx.x, last = correct ? WARP - 1 : WARP;
    tile[t] = x[t];
    __syncthreads();
    y[t] = tile[t + 1 < last ? t + 1 : last];
}

/* ---- warps ------------------------------------------------------------------------------ */

__global__ void shuffle_mask(bool correct, const float *x, float *y) {
    float value = x[threadIdx.x];
    if (threadIdx.x % 2 == 1)
        value += __shfl_xor_sync(correct ? odd_lanes : all_lanes, value, 2);
    y[threadIdx.x] = value;
}

__global__ void lane_not_in_mask(bool correct, const float *x, float *y) {
    y[threadIdx.x] = __shfl_xor_sync(correct ? all_lanes : low_lanes, x[threadIdx.x], 1);
}

__global__ void shuffle_lines(bool correct, const float *x, float *y) {
    float value = x[threadIdx.x];
    if (threadIdx.x < WARP / 2)
        value += __shfl_xor_sync(correct ? low_lanes : all_lanes, value, 1);
    else
        value += __shfl_xor_sync(correct ? high_lanes : all_lanes, value, 2);
    y[threadIdx.x] = value;
}

__global__ void lanes_returned(bool correct, const float *x, float *y) {
    if (threadIdx.x >= WARP / 2)
        return;
    y[threadIdx.x] = __shfl_xor_sync(correct ? low_lanes : all_lanes, x[threadIdx.x], 1);
}

__global__ void no_syncwarp(bool correct, const float *x, float *y) {
    __shared__ float tile[WARP];
    tile[threadIdx.x] = x[threadIdx.x];
    if (correct)
        __syncwarp();
    y[threadIdx.x] = tile[threadIdx.x ^ 1];
}

__global__ void syncwarp_too_small(bool correct, const float *x, float *y) {
    __shared__ float tile[BLOCK];
    const int t = (int)threadIdx.x;
    tile[t] = x[t];
    if (correct)
        __syncthreads();
    else
        __syncwarp();
    y[t] = tile[BLOCK - 1 - t];
}

} // namespace

cudaError_t planted_launch(planted_kernel kernel, bool correct, dim3 grid, dim3 block,
                           size_t shared_bytes, cudaStream_t stream, planted_data d) {
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    switch (kernel) {
    case PLANTED_COPY:
        return cudaLaunchKernelEx(&config, copy, correct, d.n, d.x, d.y);
    case PLANTED_COPY_STRUCT:
        return cudaLaunchKernelEx(&config, copy_struct, d);
    case PLANTED_COPY_VECTORS:
        return cudaLaunchKernelEx(&config, copy_vectors, d.n, reinterpret_cast<const float4 *>(d.x),
                                  reinterpret_cast<float4 *>(d.y));
    case PLANTED_SHIFT:
        return cudaLaunchKernelEx(&config, shift, correct, d.n, d.x, d.y);
    case PLANTED_COPY_PAST_END:
        return cudaLaunchKernelEx(&config, copy_past_end, correct, d.n, d.x, d.y);
    case PLANTED_REVERSE:
        return cudaLaunchKernelEx(&config, reverse, correct, d.x, d.y);
    case PLANTED_SHIFT_UP:
        return cudaLaunchKernelEx(&config, shift_up, correct, d.x, d.y);
    case PLANTED_SUM_TILES:
        return cudaLaunchKernelEx(&config, sum_tiles, correct, d.n / BLOCK, d.x, d.y);
    case PLANTED_DIVERGENT_BARRIER:
        return cudaLaunchKernelEx(&config, divergent_barrier, correct, d.x, d.y);
    case PLANTED_EXIT_BEFORE:
        return cudaLaunchKernelEx(&config, exit_before, correct, d.n, d.x, d.y);
    case PLANTED_SHUFFLE_MASK:
        return cudaLaunchKernelEx(&config, shuffle_mask, correct, d.x, d.y);
    case PLANTED_LANE_NOT_IN_MASK:
        return cudaLaunchKernelEx(&config, lane_not_in_mask, correct, d.x, d.y);
    case PLANTED_SHUFFLE_LINES:
        return cudaLaunchKernelEx(&config, shuffle_lines, correct, d.x, d.y);
    case PLANTED_LANES_RETURNED:
        return cudaLaunchKernelEx(&config, lanes_returned, correct, d.x, d.y);
    case PLANTED_HALF_SHARED:
        return cudaLaunchKernelEx(&config, half_shared, correct, d.x, d.y);
    case PLANTED_DYNAMIC_SHARED:
        return cudaLaunchKernelEx(&config, dynamic_shared, d.x, d.y);
    case PLANTED_SHARED_PAST_END:
        return cudaLaunchKernelEx(&config, shared_past_end, correct, d.x, d.y);
    case PLANTED_NO_SYNCWARP:
        return cudaLaunchKernelEx(&config, no_syncwarp, correct, d.x, d.y);
    case PLANTED_SYNCWARP_TOO_SMALL:
        return cudaLaunchKernelEx(&config, syncwarp_too_small, correct, d.x, d.y);
    case PLANTED_SUM:
        return cudaLaunchKernelEx(&config, sum, correct, d.n, d.x, d.y);
    case PLANTED_MIXED_ATOMICS:
        return cudaLaunchKernelEx(&config, mixed_atomics, correct, d.n, d.x, d.y);
    case PLANTED_EVEN:
        return cudaLaunchKernelEx(&config, even, correct, d.n, d.x, d.y);
    }
    return cudaErrorInvalidValue;
}
