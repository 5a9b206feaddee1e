/* planted.h: the kernels of the planted faults, as the host launches them. Each does what its name
 * says with a fault, or what it should where `correct` is true. */
#ifndef PLANTED_H
#define PLANTED_H

#include <cuda_runtime_api.h>

/** What a kernel is given: n numbers x, and room for the result y. */
typedef struct planted_data {
    const float *x;
    float *y;
    int n;
} planted_data;

typedef enum planted_kernel {
    PLANTED_COPY,          /**< y[i] = x[i] */
    PLANTED_COPY_STRUCT,   /**< the same, its pointers in a struct */
    PLANTED_COPY_VECTORS,  /**< the same, four at a time */
    PLANTED_SHIFT,         /**< y[i] = x[i + 1]; faulty: for i = n - 1, too */
    PLANTED_COPY_PAST_END, /**< y[i] = x[i]; faulty: for i = n, too */
    PLANTED_REVERSE,       /**< y[i] = x[n - 1 - i] by shared memory; faulty: no barrier */
    PLANTED_SHIFT_UP,  /**< y[i] = x[i - 1], y[0] = 0; faulty: no barrier, right when threads run
                          forward */
    PLANTED_SUM_TILES, /**< sums over tiles; faulty: no barrier before a tile is overwritten */
    PLANTED_DIVERGENT_BARRIER, /**< reverse; faulty: two barriers, half the threads at each */
    PLANTED_EXIT_BEFORE,  /**< reverse of the first n; faulty: the others return before the barrier
                           */
    PLANTED_SHUFFLE_MASK, /**< faulty: odd lanes shuffle under a mask of all */
    PLANTED_LANE_NOT_IN_MASK, /**< faulty: all lanes shuffle under a mask of half of them */
    PLANTED_SHUFFLE_LINES,  /**< faulty: half a warp shuffles at another line under a mask of all */
    PLANTED_LANES_RETURNED, /**< faulty: the mask names lanes that have returned */
    PLANTED_HALF_SHARED,    /**< copy by shared memory; faulty: half of it is never written */
    PLANTED_DYNAMIC_SHARED, /**< reverse by dynamic shared memory */
    PLANTED_SHARED_PAST_END,    /**< shift by shared memory; faulty: reads past the array's end */
    PLANTED_NO_SYNCWARP,        /**< neighbours swap by shared memory; faulty: no __syncwarp */
    PLANTED_SYNCWARP_TOO_SMALL, /**< reverse; faulty: __syncwarp where the block must meet */
    PLANTED_SUM,                /**< y[0] += all x; faulty: without atomics */
    PLANTED_MIXED_ATOMICS,      /**< the same; faulty: one thread adds without an atomic */
    PLANTED_EVEN                /**< y[i] = x[i]; faulty: for even i alone */
} planted_kernel;

#ifdef __cplusplus
extern "C"
#endif
    cudaError_t
    planted_launch(planted_kernel kernel, bool correct, dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream, planted_data data);

#endif
