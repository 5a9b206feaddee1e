/* gpu.h: the one header of ours that a .cu file begins with. It makes the same source compile with
 * nvcc and, for the simulated GPU (tests/cudasim/), with a plain C++ compiler. */
#ifndef QN_GPU_H
#define QN_GPU_H

#ifdef __CUDACC__
#include <cuda_runtime.h>
/** Shared memory whose size the launch gives: GPU_DYNAMIC_SHARED(float, tile); */
#define GPU_DYNAMIC_SHARED(type, name)                                                             \
    extern __shared__ __align__(16) unsigned char gpu_dynamic_shared[];                            \
    type *name = reinterpret_cast<type *>(gpu_dynamic_shared)
#else
#include "cudasim_device.h"
#define GPU_DYNAMIC_SHARED(type, name)                                                             \
    type *name = reinterpret_cast<type *>(cudasim::dynamic_shared())
#endif

#include "cuda_queue.h"

enum { GPU_WARP = 32 };

/** Launches a kernel on the call's queue. An empty grid is no launch. */
template <class... Parameters, class... Arguments>
inline qn_status gpu_launch(const qn_call *call, void (*kernel)(Parameters...), dim3 grid,
                            dim3 block, size_t shared_bytes, Arguments &&...arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0)
        return QN_OK;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = cuda_queue_of(call)->stream;
    return cuda_end(call,
                    cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

/** Blocks for `count` items, `per_block` each, at most enough to fill the device several times
 * over: kernels walk on in strides of the grid. */
inline dim3 gpu_blocks(const qn_call *call, int64_t count, int per_block) {
    const int64_t most = 32 * (int64_t)cuda_queue_of(call)->multiprocessors;
    int64_t blocks = (count + per_block - 1) / per_block;
    return dim3((unsigned)(blocks < most ? blocks : most));
}

/** Notes a fault in data, if it is the first. `op` is uint64_t(call->op), given to the kernel as a
 * number. */
__device__ inline void gpu_fault(cuda_fault *fault, cuda_fault_kind kind, uint64_t op,
                                 int64_t value, int64_t position, int64_t last) {
    if (atomicCAS(&fault->kind, 0, (int32_t)kind) != 0)
        return;
    fault->value = value;
    fault->position = position;
    fault->last = last;
    fault->op = op;
}

/** The name of the call's operation as gpu_fault() takes it. */
inline uint64_t gpu_op(const qn_call *call) { return (uint64_t)(uintptr_t)call->op; }

#endif
