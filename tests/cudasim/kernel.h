/* kernel.h: a kernel as the engine sees it, and what a CUDA thread may ask of its block and warp.
 * Included by the device header (kernels compiled from their source) and by what runs translated
 * PTX. */
#ifndef CUDASIM_KERNEL_H
#define CUDASIM_KERNEL_H

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace cudasim {

/** A launch: what to run in each thread, and on how many. Its object holds the arguments by value,
 * as CUDA copies them, so a graph can run it again. */
struct Launch {
    std::string name;               /**< the kernel's, for reports */
    const void *function = nullptr; /**< address that names it where `name` is empty */
    dim3 grid, block;
    size_t shared_bytes = 0;            /**< of dynamic shared memory */
    std::vector<const void *> pointers; /**< pointer arguments, checked at the launch */
    const void *arguments = nullptr;    /**< where the arguments are: reading them is no access */
    size_t arguments_bytes = 0;
    virtual void run_thread() = 0; /**< the body, for the current threadIdx and blockIdx */
    virtual ~Launch() = default;
};

/** Checks a launch as CUDA does, and queues it. */
cudaError_t enqueue_kernel(std::shared_ptr<Launch> launch, cudaStream_t stream);

/** Kinds of warp operation: lanes that meet must do the same one. */
enum class WarpOp { shuffle, vote, sync, reduce };

/** Waits for the block's threads; gives how many passed a true predicate. */
int block_barrier(bool predicate, const char *file, int line);
/** Waits for the lanes in `mask`, each bringing a word; gives all 32 words and which lanes brought
 * one. */
const uint64_t *warp_exchange(unsigned mask, uint64_t word, WarpOp op, unsigned *present,
                              const char *file, int line);
/** Position of the current thread in its warp, and the lanes that have not returned. */
unsigned lane_id();
unsigned live_lanes();
/** The block's dynamic shared memory. */
void *dynamic_shared();

/** Between these, the current thread's accesses are parts of atomic operations. */
void atomic_begin();
void atomic_end();

} // namespace cudasim

/* Variables, not macros: cudaLaunchConfig_t has members gridDim and blockDim. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

#endif
