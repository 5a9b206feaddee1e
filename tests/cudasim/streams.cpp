/* streams.cpp: see streams.h. */
#include "streams.h"

#include <set>

#include "engine.h"
#include "memory.h"
#include "settings.h"

namespace cudasim {

namespace {

CUstream_st legacy;
std::set<CUstream_st *> streams;

} // namespace

CUstream_st *stream_make(bool blocking) {
    CUstream_st *stream = new CUstream_st;
    stream->blocking = blocking;
    stream->device = current_device();
    streams.insert(stream);
    return stream;
}

bool stream_free(CUstream_st *stream) {
    auto found = streams.find(stream);
    if (found == streams.end())
        return false;
    stream_run(stream, stream->queued);
    streams.erase(found); /* the object stays: events may name it */
    return true;
}

CUstream_st *stream_of(cudaStream_t handle) {
    if (handle == nullptr || handle == cudaStreamLegacy)
        return &legacy;
    return streams.count(handle) ? handle : nullptr;
}

bool stream_is_here(cudaStream_t handle) {
    const CUstream_st *stream = stream_of(handle);
    return !stream || stream == &legacy || stream->device == current_device();
}

cudaError_t stream_queue(cudaStream_t handle, CudasimWork work, std::vector<CudasimPlace> after) {
    CUstream_st *stream = stream_of(handle);
    if (!stream)
        return cudaErrorInvalidResourceHandle;
    if (stream->capture)
        return capture_add(stream, std::move(work));
    if (stream == &legacy) {
        cudaError_t error = capture_forbid_legacy();
        if (error != cudaSuccess)
            return error;
        for (CUstream_st *other : streams)
            if (other->blocking)
                after.emplace_back(other, other->queued);
    } else if (stream->blocking) {
        after.emplace_back(&legacy, legacy.queued);
    }
    stream->items.push_back({std::move(work), std::move(after)});
    stream->queued++;
    if (settings().eager)
        stream_run(stream, stream->queued);
    return cudaSuccess;
}

void stream_run(CUstream_st *stream, uint64_t place) {
    if (stream->done >= place)
        return;
    MemoryOpen open;
    while (stream->done < place) {
        if (stream->busy)
            fail("streams wait for each other in a circle");
        CUstream_st::Item item = std::move(stream->items.front());
        stream->items.pop_front();
        stream->busy = true;
        for (const CudasimPlace &before : item.after)
            stream_run(before.first, before.second);
        item.run();
        stream->busy = false;
        stream->done++;
    }
}

void stream_run_all() {
    stream_run(&legacy, legacy.queued);
    for (CUstream_st *stream : std::set<CUstream_st *>(streams))
        stream_run(stream, stream->queued);
}

} // namespace cudasim
