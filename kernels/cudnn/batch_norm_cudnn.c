/* batch_norm_cudnn.c: batch normalisation by the batch's statistics, and its gradient, by cuDNN.
 * With the running ones cuDNN gives no mean and rstd back, which our operation returns:
 * kernels/cuda serves that. */
#include "cudnn_plans.h"

/* More samples than cuDNN's grids have blocks along one axis are not tried. */
enum { MOST_SAMPLES = 65535 };

/** Whether a vector is there and lies densely. */
static bool dense(const qn_view *vector) { return vector->data && qn_view_is_contiguous(vector); }

/** Fills the key from x (and g, else NULL), or gives the reason to decline. */
static const char *key_of(const qn_call *call, const qn_view *x, const qn_view *g, cudnn_key *key) {
    *key = (cudnn_key){.work = WORK_BATCH_NORM, .dtype = x->dtype};
    if (!((const qn_norm_attrs *)call->attrs)->training)
        return "running statistics";
    const char *reason = qnk_cudnn_extents(x, key->x);
    if (!reason && g && !qn_view_is_contiguous(g))
        reason = "not contiguous";
    if (reason)
        return reason;
    return key->x[0] > MOST_SAMPLES ? "more than 65535 samples" : NULL;
}

static void make(void *state, void *made) {
    cudnn_plan *p = made;
    const int32_t channels[4] = {1, p->key.x[1], 1, 1};
    const cudnnDataType_t type = cudnn_type(p->key.dtype);
    (void)state;
    p->works = qnk_cudnn_tensor(&p->x, type, p->key.x) == CUDNN_STATUS_SUCCESS &&
               qnk_cudnn_tensor(&p->channels, type, channels) == CUDNN_STATUS_SUCCESS;
}

/** The plan of a call that was not declined; NULL when memory is out. */
static const cudnn_plan *plan_of(const qn_call *call, const qn_view *x) {
    cudnn_key key;
    return key_of(call, x, NULL, &key) ? NULL : qnk_cudnn_plan(call, &key, make);
}

static const char *declines_as(const qn_call *call, const qn_view *x, const qn_view *g) {
    cudnn_key key;
    const char *reason = key_of(call, x, g, &key);
    if (reason)
        return reason;
    const cudnn_plan *p = qnk_cudnn_plan(call, &key, make);
    return p && p->works ? NULL : "no shape that cuDNN takes";
}

static const char *declines(const qn_call *call) {
    if (((const qn_norm_attrs *)call->attrs)->relu)
        return "with an activation";
    for (int i = QN_BATCH_NORM_WEIGHT; i <= QN_BATCH_NORM_RUNNING_VAR; i++)
        if (!dense(&call->in[i]))
            return "weight, bias or statistics absent or not contiguous";
    return declines_as(call, &call->in[QN_BATCH_NORM_X], NULL);
}

static qn_status run(const qn_call *call) {
    const qn_norm_attrs *attrs = call->attrs;
    const qn_view *in = call->in, *out = call->out;
    const cudnn_plan *p = plan_of(call, &in[QN_BATCH_NORM_X]);
    if (!p)
        return QN_OUT_OF_MEMORY;
    return qnk_cudnn_end(
        call, cudnnBatchNormalizationForwardTraining(
                  cudnn_of(call)->handle, CUDNN_BATCHNORM_SPATIAL, qnk_cudnn_one(p->key.dtype),
                  qnk_cudnn_zero(p->key.dtype), p->x, in[QN_BATCH_NORM_X].data, p->x,
                  out[QN_BATCH_NORM_OUT_Y].data, p->channels, in[QN_BATCH_NORM_WEIGHT].data,
                  in[QN_BATCH_NORM_BIAS].data, attrs->momentum, in[QN_BATCH_NORM_RUNNING_MEAN].data,
                  in[QN_BATCH_NORM_RUNNING_VAR].data, attrs->epsilon,
                  out[QN_BATCH_NORM_OUT_MEAN].data, out[QN_BATCH_NORM_OUT_RSTD].data));
}

const qn_kernel qnk_cudnn_batch_norm = {
    .size = sizeof(qn_kernel),
    .op = "batch_norm",
    .declines = declines,
    .run = run,
    .attrs_size = sizeof(qn_norm_attrs),
};

static const char *grad_declines(const qn_call *call) {
    for (int i = QN_BATCH_NORM_GRAD_WEIGHT; i <= QN_BATCH_NORM_GRAD_RSTD; i++)
        if (!dense(&call->in[i]))
            return "weight absent, or it or the statistics not contiguous";
    return declines_as(call, &call->in[QN_BATCH_NORM_GRAD_X], &call->in[QN_BATCH_NORM_GRAD_G]);
}

static qn_status run_grad(const qn_call *call) {
    const qn_view *in = call->in, *out = call->out;
    const cudnn_plan *p = plan_of(call, &in[QN_BATCH_NORM_GRAD_X]);
    if (!p)
        return QN_OUT_OF_MEMORY;
    const void *one = qnk_cudnn_one(p->key.dtype), *zero = qnk_cudnn_zero(p->key.dtype);
    return qnk_cudnn_end(
        call,
        cudnnBatchNormalizationBackward(
            cudnn_of(call)->handle, CUDNN_BATCHNORM_SPATIAL, one, zero, one, zero, p->x,
            in[QN_BATCH_NORM_GRAD_X].data, p->x, in[QN_BATCH_NORM_GRAD_G].data, p->x,
            out[QN_BATCH_NORM_GRAD_OUT_DX].data, p->channels, in[QN_BATCH_NORM_GRAD_WEIGHT].data,
            out[QN_BATCH_NORM_GRAD_OUT_DWEIGHT].data, out[QN_BATCH_NORM_GRAD_OUT_DBIAS].data,
            ((const qn_norm_attrs *)call->attrs)->epsilon, in[QN_BATCH_NORM_GRAD_MEAN].data,
            in[QN_BATCH_NORM_GRAD_RSTD].data));
}

const qn_kernel qnk_cudnn_batch_norm_grad = {
    .size = sizeof(qn_kernel),
    .op = "batch_norm_grad",
    .declines = grad_declines,
    .run = run_grad,
    .attrs_size = sizeof(qn_norm_attrs),
};
