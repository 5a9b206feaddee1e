/* cudnn_handle.cpp: a stand-in for libcudnn, compiled against NVIDIA's own headers: handles and
 * words. */
#include "cudnn_records.h"

#include "engine.h"
#include "objects.h"

using namespace cudasim;

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    if (call_should_fail(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    if (!handle)
        return CUDNN_STATUS_BAD_PARAM;
    *handle = new cudnnContext{nullptr};
    object_made(*handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    if (!handle)
        return CUDNN_STATUS_SUCCESS;
    if (!object_freed(handle))
        fail("cudnnDestroy: no such handle, or destroyed before");
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    if (call_should_fail(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    if (!object_exists(handle))
        return CUDNN_STATUS_BAD_PARAM;
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream) {
    if (call_should_fail(__func__) || !object_exists(handle) || !stream)
        return CUDNN_STATUS_BAD_PARAM;
    *stream = handle->stream;
    return CUDNN_STATUS_SUCCESS;
}

size_t cudnnGetVersion(void) { return CUDNN_VERSION; }

const char *cudnnGetErrorString(cudnnStatus_t status) {
    switch (status) {
    case CUDNN_STATUS_SUCCESS:
        return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED:
        return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM:
        return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED:
        return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_INTERNAL_ERROR:
        return "CUDNN_STATUS_INTERNAL_ERROR";
    case CUDNN_STATUS_EXECUTION_FAILED:
        return "CUDNN_STATUS_EXECUTION_FAILED";
    default:
        return "CUDNN_UNKNOWN_STATUS"; /* none that the stand-in gives */
    }
}
