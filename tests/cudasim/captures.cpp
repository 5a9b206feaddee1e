/* captures.cpp: see captures.h. Errors are those that CUDA's documentation
 * of stream capture names. */
#include "captures.h"

#include <algorithm>

#include "streams.h"

namespace cudasim {

namespace {

std::vector<std::shared_ptr<CudasimCapture>> running_captures;

/** Whether all nodes lie before the origin's last ones: otherwise some
 * stream was never waited for. */
bool all_joined(const CudasimCapture &capture) {
    std::vector<bool> seen(capture.nodes.size());
    CudasimNodes left = capture.origin->tail;
    while (!left.empty()) {
        size_t node = left.back();
        left.pop_back();
        if (seen[node])
            continue;
        seen[node] = true;
        left.insert(left.end(), capture.nodes[node].after.begin(), capture.nodes[node].after.end());
    }
    return std::all_of(seen.begin(), seen.end(), [](bool joined) { return joined; });
}

void join(CUstream_st *stream, const std::shared_ptr<CudasimCapture> &capture,
          const CudasimNodes &after) {
    if (!stream->capture) {
        stream->capture = capture;
        stream->tail.clear();
        capture->streams.push_back(stream);
    }
    stream->tail.insert(stream->tail.end(), after.begin(), after.end());
}

} // namespace

cudaError_t capture_begin(CUstream_st *stream, cudaStreamCaptureMode mode) {
    if (stream->capture)
        return cudaErrorIllegalState;
    auto capture = std::make_shared<CudasimCapture>();
    capture->origin = stream;
    capture->relaxed = mode == cudaStreamCaptureModeRelaxed;
    running_captures.push_back(capture);
    join(stream, capture, {});
    return cudaSuccess;
}

cudaError_t capture_end(CUstream_st *stream, CUgraph_st **graph) {
    std::shared_ptr<CudasimCapture> capture = stream->capture;
    *graph = nullptr;
    if (!capture)
        return cudaErrorIllegalState;
    if (capture->origin != stream)
        return capture_break(*capture, cudaErrorStreamCaptureUnmatched);
    cudaError_t error = capture->broken        ? cudaErrorStreamCaptureInvalidated
                        : all_joined(*capture) ? cudaSuccess
                                               : cudaErrorStreamCaptureUnjoined;
    capture->ended = true;
    for (CUstream_st *member : capture->streams)
        member->capture.reset();
    running_captures.erase(std::find(running_captures.begin(), running_captures.end(), capture));
    if (error != cudaSuccess)
        return error;
    *graph = new CUgraph_st;
    for (CudasimCapture::Node &node : capture->nodes)
        (*graph)->work.push_back(std::move(node.work));
    return cudaSuccess;
}

cudaError_t capture_add(CUstream_st *stream, CudasimWork work) {
    CudasimCapture &capture = *stream->capture;
    if (capture.broken)
        return cudaErrorStreamCaptureInvalidated;
    capture.nodes.push_back({std::move(work), stream->tail});
    stream->tail = {capture.nodes.size() - 1};
    return cudaSuccess;
}

cudaError_t capture_wait(CUstream_st *stream, CUevent_st *event) {
    if (!event->capture)
        return capture_break(*stream->capture, cudaErrorStreamCaptureIsolation);
    if (event->capture->ended)
        return cudaErrorCapturedEvent;
    if (stream->capture && stream->capture != event->capture) {
        capture_break(*stream->capture, cudaErrorStreamCaptureMerge);
        return capture_break(*event->capture, cudaErrorStreamCaptureMerge);
    }
    if (event->capture->broken)
        return cudaErrorStreamCaptureInvalidated;
    join(stream, event->capture, event->tail);
    return cudaSuccess;
}

cudaError_t capture_break(CudasimCapture &capture, cudaError_t error) {
    capture.broken = error;
    return error;
}

cudaError_t capture_forbid() {
    cudaError_t error = cudaSuccess;
    for (const auto &capture : running_captures)
        if (!capture->relaxed)
            error = capture_break(*capture, cudaErrorStreamCaptureUnsupported);
    return error;
}

cudaError_t capture_forbid_legacy() {
    cudaError_t error = cudaSuccess;
    for (const auto &capture : running_captures)
        for (const CUstream_st *stream : capture->streams)
            if (stream->blocking)
                error = capture_break(*capture, cudaErrorStreamCaptureImplicit);
    return error;
}

cudaError_t capture_forbid_event(CUevent_st *event) {
    if (!event->capture)
        return cudaSuccess;
    return event->capture->ended ? cudaErrorCapturedEvent
                                 : capture_break(*event->capture, cudaErrorCapturedEvent);
}

} // namespace cudasim
