/* cuda_graph.c: work recorded as a graph, launched as one. */
#include "cuda_device.h"

qn_status cuda_capture_begin(void *opened, char *reason) {
    cuda_device *device = opened;
    qn_status status = cuda_enter(device, reason);
    if (status != QN_OK)
        return status;
    /* Calls of other threads, with contexts of their own, are not our concern. */
    cudaError_t error =
        cudaStreamBeginCapture(device->queue.stream, cudaStreamCaptureModeThreadLocal);
    return error == cudaSuccess ? QN_OK : cuda_failed(device, error, "beginning a graph", reason);
}

qn_status cuda_capture_end(void *opened, void **graph, char *reason) {
    cuda_device *device = opened;
    cudaGraph_t captured = NULL;
    cudaGraphExec_t executable = NULL;
    *graph = NULL;
    qn_status status = cuda_enter(device, reason);
    if (status != QN_OK)
        return status;
    cudaError_t error = cudaStreamEndCapture(device->queue.stream, &captured);
    if (error == cudaSuccess)
        error = cudaGraphInstantiate(&executable, captured, 0);
    if (captured)
        cudaGraphDestroy(captured);
    if (error != cudaSuccess)
        return cuda_failed(device, error, "making a graph", reason);
    *graph = executable;
    return QN_OK;
}

qn_status cuda_graph_launch(void *opened, void *graph, char *reason) {
    cuda_device *device = opened;
    qn_status status = cuda_enter(device, reason);
    if (status != QN_OK)
        return status;
    cudaError_t error = cudaGraphLaunch(graph, device->queue.stream);
    return error == cudaSuccess ? QN_OK : cuda_failed(device, error, "launching a graph", reason);
}

void cuda_graph_free(void *opened, void *graph) {
    cudaSetDevice(((cuda_device *)opened)->index);
    cudaGraphExecDestroy(graph);
}
