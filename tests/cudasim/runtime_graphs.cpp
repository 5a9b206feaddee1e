/* runtime_graphs.cpp: libcudart's stream capture and graphs. The prototypes are NVIDIA's own. */
#include <cuda_runtime_api.h>

#include "engine.h"
#include "faults.h"
#include "objects.h"
#include "streams.h"

using namespace cudasim;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    if (!object_exists(stream)) /* the legacy default stream, too */
        return call_ends(cudaErrorStreamCaptureUnsupported);
    return call_ends(capture_begin(stream, mode));
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    *graph = nullptr;
    cudaError_t fault = call_begins(__func__);
    if (!object_exists(stream))
        return call_ends(cudaErrorInvalidResourceHandle);
    cudaError_t error = capture_end(stream, graph);
    if (fault != cudaSuccess) { /* the capture ends all the same */
        delete *graph;
        *graph = nullptr;
        return fault;
    }
    if (error == cudaSuccess)
        object_made(*graph);
    return call_ends(error);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *status) {
    cudaError_t error = call_begins(__func__);
    CUstream_st *stream = stream_of(handle);
    if (error != cudaSuccess || !stream)
        return call_ends(stream ? error : cudaErrorInvalidResourceHandle);
    *status = !stream->capture          ? cudaStreamCaptureStatusNone
              : stream->capture->broken ? cudaStreamCaptureStatusInvalidated
                                        : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph,
                                 unsigned long long) {
    *executable = nullptr;
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    if (!object_exists(graph))
        return call_ends(cudaErrorInvalidValue);
    *executable = new CUgraphExec_st{graph->work};
    object_made(*executable);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess && !object_exists(executable))
        error = cudaErrorInvalidValue;
    if (error == cudaSuccess)
        counters.graph_launches++;
    for (size_t i = 0; error == cudaSuccess && i < executable->work.size(); i++)
        error = stream_queue(stream, executable->work[i]);
    return call_ends(error);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    if (!object_freed(graph))
        return call_ends(cudaErrorInvalidValue);
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess)
        return error;
    if (!object_freed(executable))
        return call_ends(cudaErrorInvalidValue);
    delete executable; /* what was launched is queued by itself */
    return cudaSuccess;
}
