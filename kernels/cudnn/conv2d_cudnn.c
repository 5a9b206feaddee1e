/* conv2d_cudnn.c: conv2d and its gradients by cuDNN.
 *
 * The algorithm is the one that cuDNN's heuristic puts first among those that give the same bits in
 * every run.
 *
 * cuDNN has no conversion of f32 operands to bfloat16, and no convolution of operands in bfloat16
 * whose result is f32. In precision bf16 the call's workspace holds x, w and y in bfloat16: the
 * operands are rounded into it, cuDNN sums in f32 and rounds its result, which is widened into the
 * output. */
#include "cuda_bfloat16.h"
#include "cudnn_plans.h"

/* What an algorithm may ask for as workspace, where the call's own is not smaller. */
static const size_t most_workspace = (size_t)256 << 20;

/* Of what cudaMalloc gives; cuDNN has algorithms that need 16. */
enum { ALIGNMENT = 256 };

/* ---- keys -------------------------------------------------------------------------------- */

/** The views of a call by the part that they play; bias NULL where there is none. */
typedef struct conv_views {
    const qn_view *part[PARTS], *bias;
    cudnn_part result; /**< the part that is the call's output */
} conv_views;

static conv_views views_of(const qn_call *call, cudnn_work work) {
    const qn_view *in = call->in, *out = call->out;
    if (work == WORK_CONV2D_GRAD_INPUT)
        return (conv_views){.part = {out, &in[1], &in[0]}, .result = PART_X};
    if (work == WORK_CONV2D_GRAD_WEIGHT)
        return (conv_views){.part = {&in[0], out, &in[1]}, .result = PART_W};
    return (conv_views){.part = {&in[QN_CONV2D_X], &in[QN_CONV2D_W], out},
                        .bias = in[QN_CONV2D_BIAS].data ? &in[QN_CONV2D_BIAS] : NULL,
                        .result = PART_Y};
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
    const char *reason = qnk_cudnn_extents(views.part[PART_X], key->x);
    if (!reason)
        reason = qnk_cudnn_extents(views.part[PART_W], key->w);
    return reason ? reason : qnk_cudnn_extents(views.part[PART_Y], key->y);
}

/* ---- plans ------------------------------------------------------------------------------- */

/** What tensor cores may do. For tensors of f32 the default is TF32, where the device has it; of
 * two bytes an element they are not used by default. */
static cudnnMathType_t math_of(const cudnn_plan *p) {
    if (p->type == CUDNN_DATA_BFLOAT16)
        return CUDNN_TENSOR_OP_MATH;
    if (p->type == CUDNN_DATA_DOUBLE)
        return CUDNN_DEFAULT_MATH;
    switch ((qn_precision)p->key.precision) {
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
               : cudnnSetFilter4dDescriptor(p->w, p->type, CUDNN_TENSOR_NCHW, w[0], w[1], w[2],
                                            w[3]);
}

/** The convolution sums in the call's dtype, whatever x, w and y are. */
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
        status = cudnnSetConvolutionMathType(p->convolution, math_of(p));
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

/** What an algorithm may ask for as workspace. */
static size_t most_of(const cudnn_key *key) {
    return key->most_kib ? (size_t)key->most_kib << 10 : most_workspace;
}

/** The same with the copies behind it. */
static size_t most_scratch(const cudnn_key *key) {
    return key->most_kib ? (size_t)key->most_kib << 10 : SIZE_MAX;
}

static bool acceptable(const cudnn_plan *p, cudnnStatus_t status, cudnnDeterminism_t determinism,
                       size_t memory) {
    return status == CUDNN_STATUS_SUCCESS && determinism == CUDNN_DETERMINISTIC &&
           memory <= most_of(&p->key);
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
    while (i < count && !acceptable(p, found[i].status, found[i].determinism, found[i].memory))
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
    while (i < count && !acceptable(p, found[i].status, found[i].determinism, found[i].memory))
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
    while (i < count && !acceptable(p, found[i].status, found[i].determinism, found[i].memory))
        i++;
    if (i == count)
        return CUDNN_STATUS_NOT_SUPPORTED;
    status = take(p, found[i].algo, found[i].mathType);
    return status != CUDNN_STATUS_SUCCESS
               ? status
               : cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, p->x, p->y, p->convolution,
                                                                p->w, found[i].algo, &p->workspace);
}

/** Completes a plan whose x, w and y are of a type; false where cuDNN does not take it. */
static bool make_as(const cudnn_state *state, cudnn_plan *p, cudnnDataType_t type) {
    static cudnnStatus_t (*const choose[])(cudnnHandle_t, cudnn_plan *) = {
        choose_forward, choose_grad_input, choose_grad_weight};
    const cudnn_key *key = &p->key;
    const int32_t channels[4] = {1, key->y[1], 1, 1};
    p->type = type;
    return qnk_cudnn_tensor(&p->x, type, key->x) == CUDNN_STATUS_SUCCESS &&
           qnk_cudnn_tensor(&p->y, type, key->y) == CUDNN_STATUS_SUCCESS &&
           qnk_cudnn_tensor(&p->sum, cudnn_type(key->dtype), key->y) == CUDNN_STATUS_SUCCESS &&
           qnk_cudnn_tensor(&p->channels, cudnn_type(key->dtype), channels) ==
               CUDNN_STATUS_SUCCESS &&
           make_filter(p) == CUDNN_STATUS_SUCCESS && make_convolution(p) == CUDNN_STATUS_SUCCESS &&
           fits(p) && choose[key->work](state->handle, p) == CUDNN_STATUS_SUCCESS;
}

static size_t aligned(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/** Puts copies of x, w and y behind the workspace of cuDNN. */
static void place_copies(cudnn_plan *p) {
    const int32_t *const extents[PARTS] = {p->key.x, p->key.w, p->key.y};
    p->scratch = aligned(p->workspace);
    for (int part = 0; part < PARTS; part++) {
        const int32_t *e = extents[part];
        p->copy[part] = p->scratch;
        p->scratch +=
            aligned((size_t)e[0] * (size_t)e[1] * (size_t)e[2] * (size_t)e[3] * sizeof(uint16_t));
    }
}

/** In precision bf16 by copies in bfloat16; where cuDNN does not take these (a device before
 * compute capability 8.0, an algorithm that is not deterministic), by the tensors themselves. */
static void make(void *state, void *made) {
    cudnn_plan *p = made;
    if (p->key.precision == QN_PRECISION_BF16) {
        p->works = make_as(state, p, CUDNN_DATA_BFLOAT16);
        place_copies(p);
        if (p->works && p->scratch <= most_scratch(&p->key))
            return;
        qnk_cudnn_clear(p);
    }
    p->works = make_as(state, p, cudnn_type(p->key.dtype)) && p->workspace <= most_of(&p->key);
    p->scratch = p->workspace;
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
    return p ? p->scratch : 0;
}

/* ---- one call ---------------------------------------------------------------------------- */

/** What cuDNN is given of x, w and y: the tensors, or their copies. */
typedef struct conv_memory {
    void *part[PARTS];
} conv_memory;

static conv_memory memory_of(const qn_call *call, const cudnn_plan *p, const conv_views *v) {
    conv_memory memory;
    for (int i = 0; i < PARTS; i++)
        memory.part[i] = p->type == CUDNN_DATA_BFLOAT16 ? (char *)call->workspace + p->copy[i]
                                                        : v->part[i]->data;
    return memory;
}

static cudnnStatus_t convolve(const qn_call *call, const cudnn_plan *p, const conv_memory *m) {
    const cudnnHandle_t handle = cudnn_of(call)->handle;
    const void *one = qnk_cudnn_one(p->key.dtype), *zero = qnk_cudnn_zero(p->key.dtype);
    void *x = m->part[PART_X], *w = m->part[PART_W], *y = m->part[PART_Y];
    switch ((cudnn_work)p->key.work) {
    case WORK_CONV2D_GRAD_INPUT:
        return cudnnConvolutionBackwardData(handle, one, p->w, w, p->y, y, p->convolution,
                                            (cudnnConvolutionBwdDataAlgo_t)p->algorithm,
                                            call->workspace, p->workspace, zero, p->x, x);
    case WORK_CONV2D_GRAD_WEIGHT:
        return cudnnConvolutionBackwardFilter(handle, one, p->x, x, p->y, y, p->convolution,
                                              (cudnnConvolutionBwdFilterAlgo_t)p->algorithm,
                                              call->workspace, p->workspace, zero, p->w, w);
    default:
        return cudnnConvolutionForward(handle, one, p->x, x, p->w, w, p->convolution,
                                       (cudnnConvolutionFwdAlgo_t)p->algorithm, call->workspace,
                                       p->workspace, zero, p->y, y);
    }
}

/** Rounds the operands into their copies. */
static qn_status round_operands(const qn_call *call, const conv_views *v, const conv_memory *m) {
    qn_status status = QN_OK;
    for (int i = 0; i < PARTS && status == QN_OK; i++)
        if (i != (int)v->result)
            status =
                qnk_cuda_to_bf16(call, qn_view_count(v->part[i]), v->part[i]->data, m->part[i]);
    return status;
}

static qn_status widen_result(const qn_call *call, const conv_views *v, const conv_memory *m) {
    return qnk_cuda_from_bf16(call, qn_view_count(call->out), m->part[v->result], call->out->data);
}

static qn_status add_bias(const qn_call *call, const cudnn_plan *p, const qn_view *bias) {
    const void *one = qnk_cudnn_one(p->key.dtype);
    return qnk_cudnn_end(call, cudnnAddTensor(cudnn_of(call)->handle, one, p->channels, bias->data,
                                              one, p->sum, call->out->data));
}

/** The plan of a call that was not declined, with no more scratch than the call has; NULL when
 * memory is out. */
static cudnn_plan *plan_within(const qn_call *call, cudnn_work work) {
    cudnn_plan *p = plan_of(call, work);
    if (!p || p->scratch <= call->workspace_size)
        return p;
    cudnn_key key = p->key;
    key.most_kib = (int32_t)(call->workspace_size >> 10);
    key.most_kib = key.most_kib > 0 ? key.most_kib : 1;
    return qnk_cudnn_plan(call, &key, make);
}

static qn_status run_as(const qn_call *call, cudnn_work work) {
    const cudnn_plan *p = plan_within(call, work);
    if (!p)
        return QN_OUT_OF_MEMORY;
    if (!p->works || p->scratch > call->workspace_size)
        return qnk_cudnn_end(call, CUDNN_STATUS_NOT_SUPPORTED);
    const conv_views v = views_of(call, work);
    const conv_memory memory = memory_of(call, p, &v);
    const bool copies = p->type == CUDNN_DATA_BFLOAT16;
    qn_status status = copies ? round_operands(call, &v, &memory) : QN_OK;
    if (status == QN_OK)
        status = qnk_cudnn_end(call, convolve(call, p, &memory));
    if (status == QN_OK && copies)
        status = widen_result(call, &v, &memory);
    return status == QN_OK && v.bias ? add_bias(call, p, v.bias) : status;
}

/* ---- conv2d ------------------------------------------------------------------------------ */

static const char *declines(const qn_call *call) {
    if (((const qn_conv2d_attrs *)call->attrs)->relu)
        return "with an activation";
    return declines_as(call, WORK_CONV2D);
}

static size_t workspace(const qn_call *call) { return workspace_as(call, WORK_CONV2D); }

static qn_status run(const qn_call *call) { return run_as(call, WORK_CONV2D); }

const qn_kernel qnk_cudnn_conv2d = {
    .size = sizeof(qn_kernel),
    .op = "conv2d",
    .declines = declines,
    .workspace = workspace,
    .run = run,
    .attrs_size = sizeof(qn_conv2d_attrs),
};

/* ---- gradients --------------------------------------------------------------------------- */

static const char *grad_input_declines(const qn_call *call) {
    return declines_as(call, WORK_CONV2D_GRAD_INPUT);
}

static size_t grad_input_workspace(const qn_call *call) {
    return workspace_as(call, WORK_CONV2D_GRAD_INPUT);
}

static qn_status run_grad_input(const qn_call *call) {
    return run_as(call, WORK_CONV2D_GRAD_INPUT);
}

const qn_kernel qnk_cudnn_conv2d_grad_input = {
    .size = sizeof(qn_kernel),
    .op = "conv2d_grad_input",
    .declines = grad_input_declines,
    .workspace = grad_input_workspace,
    .run = run_grad_input,
    .attrs_size = sizeof(qn_conv2d_attrs),
};

static const char *grad_weight_declines(const qn_call *call) {
    return declines_as(call, WORK_CONV2D_GRAD_WEIGHT);
}

static size_t grad_weight_workspace(const qn_call *call) {
    return workspace_as(call, WORK_CONV2D_GRAD_WEIGHT);
}

static qn_status run_grad_weight(const qn_call *call) {
    return run_as(call, WORK_CONV2D_GRAD_WEIGHT);
}

const qn_kernel qnk_cudnn_conv2d_grad_weight = {
    .size = sizeof(qn_kernel),
    .op = "conv2d_grad_weight",
    .declines = grad_weight_declines,
    .workspace = grad_weight_workspace,
    .run = run_grad_weight,
    .attrs_size = sizeof(qn_conv2d_attrs),
};
