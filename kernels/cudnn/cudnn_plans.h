/* cudnn_plans.h: what the kernels by cuDNN share: plans, descriptors, and how a call ends.
 *
 * The descriptors are those of cuDNN's C functions, not of its graphs: they are typed, and those
 * without a handle answer without a GPU, so that their shapes can be tested anywhere. */
#ifndef QN_CUDNN_PLANS_H
#define QN_CUDNN_PLANS_H

#include <cudnn.h>

#include "cuda_plans.h"

/** The call of cuDNN that a plan is for. */
typedef enum cudnn_work {
    WORK_CONV2D,
    WORK_CONV2D_GRAD_INPUT,
    WORK_CONV2D_GRAD_WEIGHT,
    WORK_AVG_POOL2D,
    WORK_BATCH_NORM
} cudnn_work;

/** All that a plan depends on. Compared as bytes. */
typedef struct cudnn_key {
    int32_t work, dtype, precision;
    int32_t groups, counts_padding; /**< of a convolution; of pooling */
    int32_t x[4], y[4], w[4]; /**< extents; w: weights, or height and width of a pool's window */
    int32_t stride[2], padding[2], dilation[2];
    int32_t most_kib; /**< what a plan's scratch may have; 0: as much as any */
} cudnn_key;

/** The tensors of a convolution. */
typedef enum cudnn_part { PART_X, PART_W, PART_Y, PARTS } cudnn_part;

typedef struct cudnn_plan {
    cudnn_key key;
    bool works; /**< cuDNN takes it */
    cudnnDataType_t
        type; /**< of a convolution's x, w and y; they are copies where it is bfloat16 */
    cudnnTensorDescriptor_t x, y;
    cudnnTensorDescriptor_t
        sum; /**< a convolution's y as the call has it, to which a bias is added */
    cudnnTensorDescriptor_t
        channels; /**< [1, c, 1, 1]: a bias, or what a normalisation has a channel */
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t convolution;
    cudnnPoolingDescriptor_t pooling;
    int32_t algorithm;
    size_t workspace;   /**< bytes that cuDNN wants; they come first in the call's workspace */
    size_t copy[PARTS]; /**< offsets of the copies there, multiples of 256 */
    size_t scratch;     /**< bytes of the call's workspace in all */
} cudnn_plan;

/** The provider's state: a handle on the device's stream, and the plans made with it. */
typedef struct cudnn_state {
    cudnnHandle_t handle;
    plan_table *plans; /**< NULL before the first */
} cudnn_state;

static inline cudnn_state *cudnn_of(const qn_call *call) { return call->state; }

/** qn_provider.open and close. */
qn_status qnk_cudnn_open(void *queue, void **state, char *reason);
void qnk_cudnn_close(void *state);

/** The plan of a key, completed by `make`, which gets the state, at its first use; NULL when memory
 * is out. */
cudnn_plan *qnk_cudnn_plan(const qn_call *call, const cudnn_key *key,
                           void (*make)(void *state, void *plan));

/** Frees what make() put into a plan, which is then as make() got it. */
void qnk_cudnn_clear(cudnn_plan *plan);

/** Makes the descriptor of a contiguous tensor [n, c, h, w]. */
cudnnStatus_t qnk_cudnn_tensor(cudnnTensorDescriptor_t *descriptor, cudnnDataType_t type,
                               const int32_t *extent);

/** Extents of a view for a key: [n, c, h, w], or [n, c, the rest, 1] where that is what the view
 * has. Returns the reason when cuDNN is not to have it, else NULL. */
const char *qnk_cudnn_extents(const qn_view *view, int32_t extent[4]);

/** 1 and 0 of a dtype, as cuDNN wants its factors. */
const void *qnk_cudnn_one(int32_t dtype);
const void *qnk_cudnn_zero(int32_t dtype);

/** Ends a kernel's run(): QN_OK, or a failure in cuDNN's own words. */
qn_status qnk_cudnn_end(const qn_call *call, cudnnStatus_t status);

static inline cudnnDataType_t cudnn_type(int32_t dtype) {
    return dtype == QN_F64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
}

#endif
