/* cuda_memory.c: device memory, in the order of the queue: what is freed may be taken again at
 * once, since what is queued later runs later. The library's own pool lies above this. */
#include "cuda_device.h"

qn_status cuda_alloc(void *opened, size_t bytes, void **memory, char *reason) {
    cuda_device *device = opened;
    qn_status status = cuda_enter(device, reason);
    if (status != QN_OK)
        return status;
    cudaError_t error = device->pools ? cudaMallocAsync(memory, bytes, device->queue.stream)
                                      : cudaMalloc(memory, bytes);
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
