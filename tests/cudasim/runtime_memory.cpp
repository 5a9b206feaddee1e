/* runtime_memory.cpp: libcudart's memory and copies. The prototypes are NVIDIA's own. */
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "checker.h"
#include "engine.h"
#include "faults.h"
#include "memory.h"
#include "objects.h"
#include "settings.h"
#include "streams.h"

using namespace cudasim;

namespace {

constexpr int unset_host = 0xCB; /* what a host buffer holds until its copy has been waited for */

void free_now(void *start, const char *function) {
    if (!memory_give(start))
        fail(std::string(function) + ": " + describe(start) +
             " is not the start of a live allocation");
}

void check_device_range(const void *start, size_t bytes, const char *function) {
    if (bytes && !memory_holds(start, bytes))
        fail(std::string(function) + " of " + std::to_string(bytes) + " bytes: " + describe(start));
}

/** The direction that a kind of copy says, by the pointers where it leaves that open. */
bool direction(void *to, const void *from, cudaMemcpyKind kind, bool *to_device,
               bool *from_device) {
    *to_device = is_device_pointer(to);
    *from_device = is_device_pointer(from);
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return *to_device && !*from_device;
    case cudaMemcpyDeviceToHost:
        return !*to_device && *from_device;
    case cudaMemcpyDeviceToDevice:
        return *to_device && *from_device;
    default:
        return true;
    }
}

void count_copy(bool to_device, bool from_device, size_t bytes) {
    if (to_device && !from_device) {
        counters.copies_to_device++;
        counters.bytes_to_device += bytes;
    }
    if (from_device && !to_device) {
        counters.copies_to_host++;
        counters.bytes_to_host += bytes;
    }
}

cudaError_t copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream,
                 bool wait) {
    bool to_device, from_device;
    if (!direction(to, from, kind, &to_device, &from_device))
        return cudaErrorInvalidValue;
    if (to_device)
        check_device_range(to, bytes, "cudaMemcpy");
    if (from_device)
        check_device_range(from, bytes, "cudaMemcpy");
    count_copy(to_device, from_device, bytes);
    /* From pageable memory CUDA takes the bytes before it returns; to it, it waits. */
    bool pageable_source = !from_device && !is_pinned(from, bytes);
    bool pageable_target = !to_device && !is_pinned(to, bytes);
    std::string taken;
    if (pageable_source)
        taken.assign(static_cast<const char *>(from), bytes);
    else if (!to_device && !settings().eager)
        memset(to, unset_host, bytes);
    cudaError_t error = stream_queue(stream, [=] {
        if (from_device)
            checker_range(from, bytes, false, "cudaMemcpy");
        memcpy(to, pageable_source ? taken.data() : from, bytes);
        if (to_device)
            checker_range(to, bytes, true, "cudaMemcpy");
    });
    CUstream_st *queue = stream_of(stream);
    if (error == cudaSuccess && !queue->capture && (wait || pageable_target))
        stream_run(queue, queue->queued);
    return error;
}

cudaError_t take(void **memory, size_t bytes) {
    if (!memory)
        return cudaErrorInvalidValue;
    *memory = bytes ? memory_take(bytes) : nullptr;
    return bytes && !*memory ? cudaErrorMemoryAllocation : cudaSuccess;
}

} // namespace

cudaError_t cudaMalloc(void **memory, size_t bytes) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess)
        error = capture_forbid();
    return error != cudaSuccess ? call_ends(error) : call_ends(take(memory, bytes));
}

cudaError_t cudaFree(void *memory) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess)
        error = capture_forbid();
    if (error != cudaSuccess || !memory)
        return call_ends(error);
    stream_run_all();
    free_now(memory, __func__);
    return cudaSuccess;
}

cudaError_t cudaMallocAsync(void **memory, size_t bytes, cudaStream_t stream) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess && !stream_of(stream))
        error = cudaErrorInvalidResourceHandle;
    if (error == cudaSuccess)
        error = capture_forbid();
    if (error != cudaSuccess)
        return call_ends(error);
    if (take(memory, bytes) == cudaSuccess)
        return cudaSuccess;
    stream_run(stream_of(stream),
               stream_of(stream)->queued); /* what was freed in its order counts */
    return call_ends(take(memory, bytes));
}

cudaError_t cudaFreeAsync(void *memory, cudaStream_t stream) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess)
        error = capture_forbid();
    if (error != cudaSuccess || !memory)
        return call_ends(error);
    return call_ends(stream_queue(stream, [=] { free_now(memory, "cudaFreeAsync"); }));
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    *memory = malloc(bytes);
    if (!*memory)
        return call_ends(cudaErrorMemoryAllocation);
    memset(*memory, unset_host, bytes);
    object_made(*memory, bytes);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **memory, size_t bytes) { return cudaHostAlloc(memory, bytes, 0); }

cudaError_t cudaFreeHost(void *memory) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess || !memory)
        return error;
    if (!object_freed(memory))
        fail("cudaFreeHost of what is no pinned block");
    stream_run_all();
    free(memory);
    return cudaSuccess;
}

/* Exported, since programs ask it of the plug-in. */
__attribute__((visibility("default"))) cudaError_t cudaMemGetInfo(size_t *free_bytes,
                                                                  size_t *total) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    *total = settings().memory;
    *free_bytes = settings().memory - memory_used();
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess)
        error = capture_forbid();
    if (error != cudaSuccess)
        return call_ends(error);
    counters.synchronizations++;
    return call_ends(copy(to, from, bytes, kind, nullptr, true));
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    cudaError_t error = call_begins(__func__);
    return error != cudaSuccess ? error : call_ends(copy(to, from, bytes, kind, stream, false));
}

cudaError_t cudaMemsetAsync(void *start, int value, size_t bytes, cudaStream_t stream) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    check_device_range(start, bytes, __func__);
    return call_ends(stream_queue(stream, [=] {
        memset(start, value, bytes);
        checker_range(start, bytes, true, "cudaMemset");
    }));
}

cudaError_t cudaMemset(void *start, int value, size_t bytes) {
    return cudaMemsetAsync(start, value, bytes, nullptr);
}

/* ---- memory pools: cudaMallocAsync has one, whose settings change nothing here ---------- */

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int) {
    static char only;
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess)
        *pool = reinterpret_cast<cudaMemPool_t>(&only);
    return error;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *) {
    return call_begins(__func__);
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return call_begins(__func__); }
