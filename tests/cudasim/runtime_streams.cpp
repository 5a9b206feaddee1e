/* runtime_streams.cpp: libcudart's streams, events and launches. The
 * prototypes are NVIDIA's own. */
#include <cuda_runtime_api.h>

#include <chrono>
#include <string>

#include "block.h"
#include "checker.h"
#include "engine.h"
#include "faults.h"
#include "memory.h"
#include "objects.h"
#include "streams.h"

using namespace cudasim;

/* ---- streams ---------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    *stream = stream_make(!(flags & cudaStreamNonBlocking));
    object_made(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    if (!stream_free(stream))
        return call_ends(cudaErrorInvalidResourceHandle);
    object_freed(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    cudaError_t error = call_begins(__func__);
    CUstream_st *stream = stream_of(handle);
    if (error == cudaSuccess && !stream)
        error = cudaErrorInvalidResourceHandle;
    if (error == cudaSuccess)
        error = capture_forbid();
    if (error != cudaSuccess)
        return call_ends(error);
    counters.synchronizations++;
    stream_run(stream, stream->queued);
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
    cudaError_t error = call_begins(__func__);
    CUstream_st *stream = stream_of(handle);
    if (error != cudaSuccess || !stream)
        return call_ends(stream ? error : cudaErrorInvalidResourceHandle);
    if (stream->done == stream->queued)
        return cudaSuccess;
    stream_run(stream, stream->done + 1); /* time passes */
    return cudaErrorNotReady;
}

cudaError_t cudaDeviceSynchronize(void) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess)
        error = capture_forbid();
    if (error != cudaSuccess)
        return call_ends(error);
    counters.synchronizations++;
    stream_run_all();
    return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data) {
    cudaError_t error = call_begins(__func__);
    return error != cudaSuccess ? error : call_ends(stream_queue(stream, [=] { function(data); }));
}

/* ---- events ----------------------------------------------------------------------------- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    *event = new CUevent_st;
    (*event)->timing = !(flags & cudaEventDisableTiming);
    object_made(*event);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    if (!object_freed(event))
        return call_ends(cudaErrorInvalidResourceHandle);
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    if (!object_exists(event))
        return call_ends(cudaErrorInvalidResourceHandle);
    CUstream_st *stream = stream_of(handle);
    if (!stream)
        return call_ends(cudaErrorInvalidResourceHandle);
    event->capture = stream->capture;
    event->tail = stream->tail;
    event->stream = stream;
    if (stream->capture)
        return cudaSuccess;
    auto time = event->time = std::make_shared<double>();
    error = stream_queue(handle, [time] {
        auto since_start = std::chrono::steady_clock::now().time_since_epoch();
        *time = std::chrono::duration<double>(since_start).count();
    });
    event->place = stream->queued;
    return call_ends(error);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess && !object_exists(event))
        error = cudaErrorInvalidResourceHandle;
    if (error == cudaSuccess)
        error = capture_forbid_event(event);
    if (error == cudaSuccess)
        error = capture_forbid();
    if (error != cudaSuccess)
        return call_ends(error);
    counters.event_waits++;
    if (event->stream)
        stream_run(event->stream, event->place);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess && !object_exists(event))
        error = cudaErrorInvalidResourceHandle;
    if (error == cudaSuccess)
        error = capture_forbid_event(event);
    if (error != cudaSuccess || !event->stream || event->stream->done >= event->place)
        return call_ends(error);
    stream_run(event->stream, event->stream->done + 1);
    return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    if (!from->time || !to->time || !from->timing || !to->timing)
        return call_ends(cudaErrorInvalidResourceHandle);
    if (from->stream->done < from->place || to->stream->done < to->place)
        return cudaErrorNotReady;
    *milliseconds = (float)((*to->time - *from->time) * 1e3);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    CUstream_st *waiting = stream_of(stream);
    if (!object_exists(event) || !waiting)
        return call_ends(cudaErrorInvalidResourceHandle);
    if (!event->stream)
        return cudaSuccess;
    if (event->capture || waiting->capture)
        return call_ends(capture_wait(waiting, event));
    return call_ends(stream_queue(stream, [] {}, {{event->stream, event->place}}));
}

/* ---- launches --------------------------------------------------------------------------- */

namespace cudasim {

namespace {

constexpr unsigned most_threads = 1024, most_depth = 64, most_blocks_yz = 65535;
constexpr size_t shared_unasked = 48 * 1024;

bool fits_device(const Launch &launch) {
    const dim3 &b = launch.block, &g = launch.grid;
    uint64_t threads = (uint64_t)b.x * b.y * b.z;
    return threads > 0 && threads <= most_threads && b.z <= most_depth && g.x > 0 && g.y > 0 &&
           g.z > 0 && g.x <= 0x7FFFFFFFu && g.y <= most_blocks_yz && g.z <= most_blocks_yz;
}

void check_pointers(const Launch &launch) {
    for (size_t i = 0; i < launch.pointers.size(); i++) {
        const void *pointer = launch.pointers[i];
        if (pointer && !is_device_pointer(pointer))
            fail("a launch with pointer argument " + std::to_string(i) +
                 ", which is not device memory");
        if (pointer && !memory_holds(pointer, 0))
            fail("a launch with a dangling pointer: " + describe(pointer));
    }
}

} // namespace

cudaError_t enqueue_kernel(std::shared_ptr<Launch> launch, cudaStream_t stream) {
    cudaError_t error = call_begins("cudaLaunchKernel");
    if (error != cudaSuccess)
        return error;
    if (!stream_is_here(stream))
        return call_ends(cudaErrorInvalidResourceHandle);
    if (!fits_device(*launch))
        return call_ends(cudaErrorInvalidConfiguration);
    if (launch->shared_bytes > shared_unasked)
        return call_ends(cudaErrorInvalidValue);
    check_pointers(*launch);
    return call_ends(stream_queue(stream, [launch] { run_launch(*launch); }));
}

cudaError_t enqueue_library(cudaStream_t stream, const char *name,
                            std::initializer_list<Access> accesses, std::function<void()> work) {
    std::vector<Access> ranges(accesses);
    if (!stream_is_here(stream))
        return cudaErrorInvalidResourceHandle;
    for (const Access &range : ranges)
        if (range.bytes && !memory_holds(range.start, range.bytes))
            fail(std::string(name) + " " + (range.write ? "writes " : "reads ") +
                 std::to_string(range.bytes) + " bytes at " + describe(range.start));
    return stream_queue(stream, [ranges, name, work] {
        counters.library_calls++;
        for (const Access &range : ranges)
            if (range.bytes && !range.write)
                checker_range(range.start, range.bytes, false, name);
        work();
        for (const Access &range : ranges)
            if (range.bytes && range.write)
                checker_range(range.start, range.bytes, true, name);
    });
}

} // namespace cudasim
