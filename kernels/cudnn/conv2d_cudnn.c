/* conv2d_cudnn.c: conv2d and its gradients by cuDNN.
 *
 * The algorithm is the one that cuDNN's heuristic puts first among those that give the same bits in every run. */
#include "cudnn_plans.h"

/* What an algorithm may ask for as workspace. */
static const size_t most_workspace = (size_t)256 << 20;

/* ---- keys -------------------------------------------------------------------------------- */

/** The views of a call by the part that they play; bias NULL where there is none. */
typedef struct conv_views {
    const qn_view *x, *w, *y, *bias;
} conv_views;

static conv_views views_of(const qn_call *call, cudnn_work work) {
    const qn_view *in = call->in, *out = call->out;
    if (work == WORK_CONV2D_GRAD_INPUT)
        return (conv_views){.x = out, .w = &in[1], .y = &in[0]};
    if (work == WORK_CONV2D_GRAD_WEIGHT)
        return (conv_views){.x = &in[0], .w = out, .y = &in[1]};
    return (conv_views){.x = &in[0], .w = &in[1], .y = out, .bias = in[2].data ? &in[2] : NULL};
}

/** Fills the key, or gives the reason to decline. */
static const char *key_of(const qn_call *call, cudnn_work work, cudnn_key *key) {
    const qn_conv2d_attrs *attrs = call->attrs;
    const conv_views views = views_of(call, work);
    *key = (cudnn_key){.work = work, .dtype = call->out->dtype, .groups = attrs->groups};
    key->precision = key->dtype == QN_F32 ? call->precision : QN_PRECISION_F32;
    for (int axis = 0; axis < 2; axis++) {
        key->stride[axis] = attrs->stride[axis];
        key->padding[axis] = attrs->padding[axis];
        key->dilation[axis] = attrs->dilation[axis];
    }
    if (views.bias && !qn_view_is_contiguous(views.bias))
        return "a bias that is not contiguous";
    const char *reason = qnk_cudnn_extents(views.x, key->x);
    if (!reason)
        reason = qnk_cudnn_extents(views.w, key->w);
    return reason ? reason : qnk_cudnn_extents(views.y, key->y);
}

/* ---- plans ------------------------------------------------------------------------------- */

/** cuDNN has no conversion to bfloat16: TF32 operands have its range and are finer. */
static cudnnMathType_t math_of(const cudnn_key *key) {
    if (key->dtype == QN_F64)
        return CUDNN_DEFAULT_MATH;
    switch ((qn_precision)key->precision) {
    case QN_PRECISION_F32:
        return CUDNN_FMA_MATH;
    case QN_PRECISION_F16:
        return CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
    default:
        return CUDNN_DEFAULT_MATH;
    }
}

static cudnnStatus_t make_filter(cudnn_plan *p) {
    const int32_t *w = p->key.w;
    const cudnnStatus_t status = cudnnCreateFilterDescriptor(&p->w);
    return status != CUDNN_STATUS_SUCCESS
               ? status
               : cudnnSetFilter4dDescriptor(p->w, cudnn_type(p->key.dtype), CUDNN_TENSOR_NCHW, w[0],
                                            w[1], w[2], w[3]);
}

static cudnnStatus_t make_convolution(cudnn_plan *p) {
    const cudnn_key *key = &p->key;
    cudnnStatus_t status = cudnnCreateConvolutionDescriptor(&p->convolution);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnSetConvolution2dDescriptor(
            p->convolution, key->padding[0], key->padding[1], key->stride[0], key->stride[1],
            key->dilation[0], key->dilation[1], CUDNN_CROSS_CORRELATION, cudnn_type(key->dtype));
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnSetConvolutionGroupCount(p->convolution, key->groups);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnSetConvolutionMathType(p->convolution, math_of(key));
    return status;
}

/** Whether the descriptors mean what the key says. */
static bool fits(const cudnn_plan *p) {
    int extent[4];
    if (cudnnGetConvolution2dForwardOutputDim(p->convolution, p->x, p->w, &extent[0], &extent[1],
                                              &extent[2], &extent[3]) != CUDNN_STATUS_SUCCESS)
        return false;
    for (int axis = 0; axis < 4; axis++)
        if (extent[axis] != p->key.y[axis])
            return false;
    return true;
}

static bool acceptable(cudnnStatus_t status, cudnnDeterminism_t determinism, size_t memory) {
    return status == CUDNN_STATUS_SUCCESS && determinism == CUDNN_DETERMINISTIC &&
           memory <= most_workspace;
}

/** Takes an algorithm, and where rounded operands are allowed, whether it rounds them. */
static cudnnStatus_t take(cudnn_plan *p, int32_t algorithm, cudnnMathType_t math) {
    p->algorithm = algorithm;
    return p->key.precision == QN_PRECISION_F32 ? CUDNN_STATUS_SUCCESS
                                                : cudnnSetConvolutionMathType(p->convolution, math);
}

static cudnnStatus_t choose_forward(cudnnHandle_t handle, cudnn_plan *p) {
    cudnnConvolutionFwdAlgoPerf_t found[CUDNN_CONVOLUTION_FWD_ALGO_COUNT];
    int count = 0, i = 0;
    cudnnStatus_t status = cudnnGetConvolutionForwardAlgorithm_v7(
        handle, p->x, p->w, p->convolution, p->y, CUDNN_CONVOLUTION_FWD_ALGO_COUNT, &count, found);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    while (i < count && !acceptable(found[i].status, found[i].determinism, found[i].memory))
        i++;
    if (i == count)
        return CUDNN_STATUS_NOT_SUPPORTED;
    status = take(p, found[i].algo, found[i].mathType);
    return status != CUDNN_STATUS_SUCCESS
               ? status
               : cudnnGetConvolutionForwardWorkspaceSize(handle, p->x, p->w, p->convolution, p->y,
                                                         found[i].algo, &p->workspace);
}

static cudnnStatus_t choose_grad_input(cudnnHandle_t handle, cudnn_plan *p) {
    cudnnConvolutionBwdDataAlgoPerf_t found[CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT];
    int count = 0, i = 0;
    cudnnStatus_t status = cudnnGetConvolutionBackwardDataAlgorithm_v7(
        handle, p->w, p->y, p->convolution, p->x, CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT, &count,
        found);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    while (i < count && !acceptable(found[i].status, found[i].determinism, found[i].memory))
        i++;
    if (i == count)
        return CUDNN_STATUS_NOT_SUPPORTED;
    status = take(p, found[i].algo, found[i].mathType);
    return status != CUDNN_STATUS_SUCCESS
               ? status
               : cudnnGetConvolutionBackwardDataWorkspaceSize(handle, p->w, p->y, p->convolution,
                                                              p->x, found[i].algo, &p->workspace);
}

static cudnnStatus_t choose_grad_weight(cudnnHandle_t handle, cudnn_plan *p) {
    cudnnConvolutionBwdFilterAlgoPerf_t found[CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT];
    int count = 0, i = 0;
    cudnnStatus_t status = cudnnGetConvolutionBackwardFilterAlgorithm_v7(
        handle, p->x, p->y, p->convolution, p->w, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT, &count,
        found);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    while (i < count && !acceptable(found[i].status, found[i].determinism, found[i].memory))
        i++;
    if (i == count)
        return CUDNN_STATUS_NOT_SUPPORTED;
    status = take(p, found[i].algo, found[i].mathType);
    return status != CUDNN_STATUS_SUCCESS
               ? status
               : cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, p->x, p->y, p->convolution,
                                                                p->w, found[i].algo, &p->workspace);
}

static void make(cuda_queue *queue, void *made) {
    cudnn_plan *p = made;
    const cudnn_key *key = &p->key;
    const int32_t channels[4] = {1, key->y[1], 1, 1};
    if (qnk_cudnn_tensor(&p->x, key->dtype, key->x) != CUDNN_STATUS_SUCCESS ||
        qnk_cudnn_tensor(&p->y, key->dtype, key->y) != CUDNN_STATUS_SUCCESS ||
        qnk_cudnn_tensor(&p->channels, key->dtype, channels) != CUDNN_STATUS_SUCCESS ||
        make_filter(p) != CUDNN_STATUS_SUCCESS || make_convolution(p) != CUDNN_STATUS_SUCCESS ||
        !fits(p))
        return;
    static cudnnStatus_t (*const choose[])(cudnnHandle_t, cudnn_plan *) = {
        choose_forward, choose_grad_input, choose_grad_weight};
    p->works = choose[key->work](queue->cudnn, p) == CUDNN_STATUS_SUCCESS;
}

/** The plan of a call; NULL where there is no key, or no memory. */
static cudnn_plan *plan_of(const qn_call *call, cudnn_work work) {
    cudnn_key key;
    return key_of(call, work, &key) ? NULL : qnk_cudnn_plan(call, &key, make);
}

static const char *declines_as(const qn_call *call, cudnn_work work) {
    cudnn_key key;
    const char *reason = key_of(call, work, &key);
    if (reason)
        return reason;
    const cudnn_plan *p = qnk_cudnn_plan(call, &key, make);
    return p && p->works ? NULL : "cuDNN has no deterministic algorithm for it";
}

static size_t workspace_as(const qn_call *call, cudnn_work work) {
    const cudnn_plan *p = plan_of(call, work);
    return p ? p->workspace : 0;
}

/* ---- conv2d ------------------------------------------------------------------------------ */

static const char *declines(const qn_call *call) {
    if (((const qn_conv2d_attrs *)call->attrs)->relu)
        return "with an activation";
    return declines_as(call, WORK_CONV2D);
}

static size_t workspace(const qn_call *call) { return workspace_as(call, WORK_CONV2D); }

static qn_status run(const qn_call *call) {
    const cudnn_plan *p = plan_of(call, WORK_CONV2D);
    if (!p)
        return QN_OUT_OF_MEMORY;
    const cudnnHandle_t handle = cuda_queue_of(call)->cudnn;
    const conv_views v = views_of(call, WORK_CONV2D);
    const void *one = qnk_cudnn_one(p->key.dtype), *zero = qnk_cudnn_zero(p->key.dtype);
    cudnnStatus_t status =
        cudnnConvolutionForward(handle, one, p->x, v.x->data, p->w, v.w->data, p->convolution,
                                (cudnnConvolutionFwdAlgo_t)p->algorithm, call->workspace,
                                p->workspace, zero, p->y, v.y->data);
    if (status == CUDNN_STATUS_SUCCESS && v.bias)
        status = cudnnAddTensor(handle, one, p->channels, v.bias->data, one, p->y, v.y->data);
    return qnk_cudnn_end(call, status);
}

const qn_kernel qnk_cudnn_conv2d = {sizeof(qn_kernel), "conv2d", declines, workspace, run};

/* ---- gradients --------------------------------------------------------------------------- */

static const char *grad_input_declines(const qn_call *call) {
    return declines_as(call, WORK_CONV2D_GRAD_INPUT);
}

static size_t grad_input_workspace(const qn_call *call) {
    return workspace_as(call, WORK_CONV2D_GRAD_INPUT);
}

static qn_status run_grad_input(const qn_call *call) {
    const cudnn_plan *p = plan_of(call, WORK_CONV2D_GRAD_INPUT);
    if (!p)
        return QN_OUT_OF_MEMORY;
    const conv_views v = views_of(call, WORK_CONV2D_GRAD_INPUT);
    return qnk_cudnn_end(call, cudnnConvolutionBackwardData(
                                   cuda_queue_of(call)->cudnn, qnk_cudnn_one(p->key.dtype), p->w,
                                   v.w->data, p->y, v.y->data, p->convolution,
                                   (cudnnConvolutionBwdDataAlgo_t)p->algorithm, call->workspace,
                                   p->workspace, qnk_cudnn_zero(p->key.dtype), p->x, v.x->data));
}

const qn_kernel qnk_cudnn_conv2d_grad_input = {sizeof(qn_kernel), "conv2d_grad_input",
                                               grad_input_declines, grad_input_workspace,
                                               run_grad_input};

static const char *grad_weight_declines(const qn_call *call) {
    return declines_as(call, WORK_CONV2D_GRAD_WEIGHT);
}

static size_t grad_weight_workspace(const qn_call *call) {
    return workspace_as(call, WORK_CONV2D_GRAD_WEIGHT);
}

static qn_status run_grad_weight(const qn_call *call) {
    const cudnn_plan *p = plan_of(call, WORK_CONV2D_GRAD_WEIGHT);
    if (!p)
        return QN_OUT_OF_MEMORY;
    const conv_views v = views_of(call, WORK_CONV2D_GRAD_WEIGHT);
    return qnk_cudnn_end(call, cudnnConvolutionBackwardFilter(
                                   cuda_queue_of(call)->cudnn, qnk_cudnn_one(p->key.dtype), p->x,
                                   v.x->data, p->y, v.y->data, p->convolution,
                                   (cudnnConvolutionBwdFilterAlgo_t)p->algorithm, call->workspace,
                                   p->workspace, qnk_cudnn_zero(p->key.dtype), p->w, v.w->data));
}

const qn_kernel qnk_cudnn_conv2d_grad_weight = {sizeof(qn_kernel), "conv2d_grad_weight",
                                                grad_weight_declines, grad_weight_workspace,
                                                run_grad_weight};
