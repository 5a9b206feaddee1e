/* cudnn_plans.c: cuDNN on a device, and what its kernels share. */
#include "cudnn_plans.h"

#include <stdio.h>

static void destroy(void *made) {
    const cudnn_plan *plan = made;
    const cudnnTensorDescriptor_t tensors[] = {plan->x, plan->y, plan->sum, plan->channels};
    for (int i = 0; i < 4; i++)
        if (tensors[i])
            cudnnDestroyTensorDescriptor(tensors[i]);
    if (plan->w)
        cudnnDestroyFilterDescriptor(plan->w);
    if (plan->convolution)
        cudnnDestroyConvolutionDescriptor(plan->convolution);
    if (plan->pooling)
        cudnnDestroyPoolingDescriptor(plan->pooling);
}

void qnk_cudnn_clear(cudnn_plan *plan) {
    const cudnn_key key = plan->key;
    destroy(plan);
    *plan = (cudnn_plan){.key = key};
}

cudnn_plan *qnk_cudnn_plan(const qn_call *call, const cudnn_key *key,
                           void (*make)(void *state, void *plan)) {
    const plan_kind kind = {sizeof(cudnn_key), sizeof(cudnn_plan), make, destroy};
    cudnn_state *state = cudnn_of(call);
    return cuda_plan_of(&kind, state, &state->plans, key);
}

qn_status qnk_cudnn_open(void *queue, void **state, char *reason) {
    cudnn_state *opened = calloc(1, sizeof(*opened));
    if (!opened) {
        snprintf(reason, QN_REASON_SIZE, "out of memory");
        return QN_OUT_OF_MEMORY;
    }
    cudnnStatus_t status = cudnnCreate(&opened->handle);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnSetStream(opened->handle, ((const cuda_queue *)queue)->stream);
    if (status == CUDNN_STATUS_SUCCESS) {
        *state = opened;
        return QN_OK;
    }
    snprintf(reason, QN_REASON_SIZE, "cuDNN: %s", cudnnGetErrorString(status));
    qnk_cudnn_close(opened);
    return QN_DEVICE_ERROR;
}

void qnk_cudnn_close(void *state) {
    cudnn_state *opened = state;
    cuda_plans_forget(destroy, &opened->plans);
    if (opened->handle)
        cudnnDestroy(opened->handle);
    free(opened);
}

cudnnStatus_t qnk_cudnn_tensor(cudnnTensorDescriptor_t *descriptor, cudnnDataType_t type,
                               const int32_t *extent) {
    const cudnnStatus_t status = cudnnCreateTensorDescriptor(descriptor);
    return status != CUDNN_STATUS_SUCCESS
               ? status
               : cudnnSetTensor4dDescriptor(*descriptor, CUDNN_TENSOR_NCHW, type, extent[0],
                                            extent[1], extent[2], extent[3]);
}

const char *qnk_cudnn_extents(const qn_view *view, int32_t extent[4]) {
    const int64_t count = qn_view_count(view);
    if (count == 0)
        return "empty";
    if (count > INT32_MAX)
        return "more elements than 31 bits count";
    if (!qn_view_is_contiguous(view))
        return "not contiguous";
    for (int axis = 0; axis < 4; axis++)
        extent[axis] = axis < view->rank ? (int32_t)view->shape[axis] : 1;
    for (int axis = 4; axis < view->rank; axis++)
        extent[3] *= (int32_t)view->shape[axis];
    return NULL;
}

static const double one = 1, zero = 0;
static const float one_f = 1, zero_f = 0;

const void *qnk_cudnn_one(int32_t dtype) {
    return dtype == QN_F64 ? (const void *)&one : (const void *)&one_f;
}

const void *qnk_cudnn_zero(int32_t dtype) {
    return dtype == QN_F64 ? (const void *)&zero : (const void *)&zero_f;
}

qn_status qnk_cudnn_end(const qn_call *call, cudnnStatus_t status) {
    if (status == CUDNN_STATUS_SUCCESS)
        return cuda_end(call, cudaSuccess);
    cuda_queue_of(call)->last_op = call->op;
    snprintf(call->reason, QN_REASON_SIZE, "cuDNN: %s", cudnnGetErrorString(status));
    return QN_DEVICE_ERROR;
}
