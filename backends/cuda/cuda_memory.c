/* cuda_memory.c: device memory, in the order of the queue: what is freed may be taken again at
 * once, since what is queued later runs later. The library's own pool lies above this. */
#include "cuda_device.h"

static cudaError_t take(const cuda_device *device, size_t bytes, void **memory) {
    return device->pools ? cudaMallocAsync(memory, bytes, device->queue.stream)
                         : cudaMalloc(memory, bytes);
}

/** Freed memory is the driver's again when the work that used it has ended; failures come out at
 * the next call. */
void cuda_trim(void *opened) {
    const cuda_device *device = opened;
    cudaMemPool_t pool;
    if (!device->pools || cudaSetDevice(device->index) != cudaSuccess ||
        cudaStreamSynchronize(device->queue.stream) != cudaSuccess ||
        cudaDeviceGetDefaultMemPool(&pool, device->index) != cudaSuccess)
        return;
    cudaMemPoolTrimTo(pool, 0);
}

qn_status cuda_alloc(void *opened, size_t bytes, void **memory, char *reason) {
    cuda_device *device = opened;
    qn_status status = cuda_enter(device, reason);
    if (status != QN_OK)
        return status;
    cudaError_t error = take(device, bytes, memory);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        cuda_trim(device);
        error = take(device, bytes, memory);
    }
    return error == cudaSuccess ? QN_OK : cuda_failed(device, error, "taking memory", reason);
}

void cuda_free(void *opened, void *memory) {
    cuda_device *device = opened;
    cudaSetDevice(device->index);
    if (device->pools)
        cudaFreeAsync(memory, device->queue.stream);
    else
        cudaFree(memory);
}
