/* cuda_reduce.h: sums and other reductions of a team of threads (one thread, a warp or a block), in
 * one order by shape and without atomics: the same bits in every run.
 *
 * All threads of a team call a reduction together, and all of them get the result. */
#ifndef QN_CUDA_REDUCE_H
#define QN_CUDA_REDUCE_H

#include "gpu.h"

enum { TEAM_THREAD = 1, TEAM_WARP = GPU_WARP, TEAM_BLOCK = 256 };

/* ---- what is reduced ---------------------------------------------------------------------- */

/** A running sum. Of floats: 16 at a time in float, the rest in double, which costs little and is
 * accurate for any number of terms. */
template <class T> struct gpu_sum {
    double total = 0;
    T part = 0;
    int terms = 0;

    __device__ void add(T x) {
        part += x;
        if (++terms < 16)
            return;
        total += (double)part;
        part = 0;
        terms = 0;
    }
    __device__ double value() const { return total + (double)part; }
};

template <> struct gpu_sum<double> {
    double total = 0;

    __device__ void add(double x) { total += x; }
    __device__ double value() const { return total; }
};

struct reduce_plus {
    template <class T> __device__ T operator()(T a, T b) const { return a + b; }
};

/** The greater of two; NaN if one is. */
struct reduce_max {
    template <class T> __device__ T operator()(T a, T b) const { return a > b || a != a ? a : b; }
};

/** The smaller of two; NaN if one is. */
struct reduce_min {
    template <class T> __device__ T operator()(T a, T b) const { return a < b || a != a ? a : b; }
};

/* ---- by whom ------------------------------------------------------------------------------- */

/** The value of the lane whose number differs in `bits`. Types that are no number overload it. */
template <class T> __device__ inline T gpu_shuffle_xor(T value, int bits) {
    return __shfl_xor_sync(0xffffffffu, value, bits);
}

/** `f` over the values of a warp's lanes. f must be commutative. */
template <class T, class F> __device__ inline T warp_reduce(T value, F f) {
    for (int bits = GPU_WARP / 2; bits > 0; bits /= 2)
        value = f(value, gpu_shuffle_xor(value, bits));
    return value;
}

/** `f` over the values of a block's threads: whole warps, in one dimension. */
template <class T, class F> __device__ inline T block_reduce(T value, F f) {
    __shared__ T partial[GPU_WARP];
    const int warps = (int)blockDim.x / GPU_WARP;
    value = warp_reduce(value, f);
    if (threadIdx.x % GPU_WARP == 0)
        partial[threadIdx.x / GPU_WARP] = value;
    __syncthreads();
    value = partial[0];
    for (int i = 1; i < warps; i++)
        value = f(value, partial[i]);
    __syncthreads(); /* before partial[] is written again */
    return value;
}

/** `f` over the values of a team's threads. */
template <int team, class T, class F> __device__ inline T team_reduce(T value, F f) {
    if constexpr (team == TEAM_THREAD)
        return value;
    else if constexpr (team == TEAM_WARP)
        return warp_reduce(value, f);
    else
        return block_reduce(value, f);
}

template <int team, class T> __device__ inline T team_sum(T value) {
    return team_reduce<team>(value, reduce_plus{});
}

/* ---- teams at work ------------------------------------------------------------------------- */

/** Blocks that a multiprocessor is to hold: up to 80 registers a thread. Left to itself ptxas takes
 * 48 for doubles, and spills. */
enum { TEAM_BLOCKS = 3 };

/** f.run<team>(item, lane) by every thread of the team that an item falls to. */
template <int team, class F>
__global__ void __launch_bounds__(TEAM_BLOCK, TEAM_BLOCKS) team_kernel(F f, int64_t items) {
    const int64_t step = (int64_t)gridDim.x * (TEAM_BLOCK / team);
    const int lane = (int)threadIdx.x % team;
    int64_t item = (int64_t)blockIdx.x * (TEAM_BLOCK / team) + (int)threadIdx.x / team;
    for (; item < items; item += step)
        f.template run<team>(item, lane);
}

/** Gives each of the items 0 .. items - 1 to a team of the given size. */
template <class F>
inline qn_status team_launch(const qn_call *call, int team, int64_t items, const F &f) {
    const dim3 blocks = gpu_blocks(call, items, TEAM_BLOCK / team);
    if (team == TEAM_THREAD)
        return gpu_launch(call, team_kernel<TEAM_THREAD, F>, blocks, TEAM_BLOCK, 0, f, items);
    if (team == TEAM_WARP)
        return gpu_launch(call, team_kernel<TEAM_WARP, F>, blocks, TEAM_BLOCK, 0, f, items);
    return gpu_launch(call, team_kernel<TEAM_BLOCK, F>, blocks, TEAM_BLOCK, 0, f, items);
}

template <class F>
__global__ void __launch_bounds__(TEAM_BLOCK, TEAM_BLOCKS) each_kernel(F f, int64_t items) {
    const int64_t step = (int64_t)gridDim.x * TEAM_BLOCK;
    for (int64_t i = (int64_t)blockIdx.x * TEAM_BLOCK + threadIdx.x; i < items; i += step)
        f(i);
}

/** f(i) for each of 0 .. items - 1, by a thread each. */
template <class F> inline qn_status each_launch(const qn_call *call, int64_t items, const F &f) {
    return gpu_launch(call, each_kernel<F>, gpu_blocks(call, items, TEAM_BLOCK), TEAM_BLOCK, 0, f,
                      items);
}

#endif
