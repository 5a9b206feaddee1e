/* avg_pool2d_cudnn.c: averages of windows by cuDNN. Its gradient also wants x and y, which that of
 * our operation does not have: kernels/cuda serves that. */
#include "cudnn_plans.h"

/** Fills the key, or gives the reason to decline. */
static const char *key_of(const qn_call *call, cudnn_key *key) {
    const qn_pool2d_attrs *attrs = call->attrs;
    *key = (cudnn_key){.work = WORK_AVG_POOL2D,
                       .dtype = call->out->dtype,
                       .counts_padding = attrs->count_include_pad != 0};
    for (int axis = 0; axis < 2; axis++) {
        key->w[axis] = attrs->kernel[axis];
        key->stride[axis] = attrs->stride[axis];
        key->padding[axis] = attrs->padding[axis];
    }
    const char *reason = qnk_cudnn_extents(&call->in[0], key->x);
    return reason ? reason : qnk_cudnn_extents(call->out, key->y);
}

static cudnnStatus_t make_pooling(cudnn_plan *p) {
    const cudnn_key *key = &p->key;
    const cudnnPoolingMode_t mode = key->counts_padding
                                        ? CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING
                                        : CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING;
    const cudnnStatus_t status = cudnnCreatePoolingDescriptor(&p->pooling);
    return status != CUDNN_STATUS_SUCCESS
               ? status
               : cudnnSetPooling2dDescriptor(p->pooling, mode, CUDNN_PROPAGATE_NAN, key->w[0],
                                             key->w[1], key->padding[0], key->padding[1],
                                             key->stride[0], key->stride[1]);
}

/** Whether the descriptors mean what the key says. */
static bool fits(const cudnn_plan *p) {
    int extent[4];
    if (cudnnGetPooling2dForwardOutputDim(p->pooling, p->x, &extent[0], &extent[1], &extent[2],
                                          &extent[3]) != CUDNN_STATUS_SUCCESS)
        return false;
    for (int axis = 0; axis < 4; axis++)
        if (extent[axis] != p->key.y[axis])
            return false;
    return true;
}

static void make(void *state, void *made) {
    cudnn_plan *p = made;
    const cudnnDataType_t type = cudnn_type(p->key.dtype);
    (void)state;
    p->works = qnk_cudnn_tensor(&p->x, type, p->key.x) == CUDNN_STATUS_SUCCESS &&
               qnk_cudnn_tensor(&p->y, type, p->key.y) == CUDNN_STATUS_SUCCESS &&
               make_pooling(p) == CUDNN_STATUS_SUCCESS && fits(p);
}

static const char *declines(const qn_call *call) {
    cudnn_key key;
    const char *reason = key_of(call, &key);
    if (reason)
        return reason;
    const cudnn_plan *p = qnk_cudnn_plan(call, &key, make);
    return p && p->works ? NULL : "no window that cuDNN takes";
}

static qn_status run(const qn_call *call) {
    cudnn_key key;
    const cudnn_plan *p = key_of(call, &key) ? NULL : qnk_cudnn_plan(call, &key, make);
    if (!p)
        return QN_OUT_OF_MEMORY;
    return qnk_cudnn_end(call,
                         cudnnPoolingForward(cudnn_of(call)->handle, p->pooling,
                                             qnk_cudnn_one(key.dtype), p->x, call->in[0].data,
                                             qnk_cudnn_zero(key.dtype), p->y, call->out->data));
}

const qn_kernel qnk_cudnn_avg_pool2d = {
    .size = sizeof(qn_kernel),
    .op = "avg_pool2d",
    .declines = declines,
    .run = run,
    .attrs_size = sizeof(qn_pool2d_attrs),
};
