/* optim_step.c: what the optimizer steps share. */
#include "internal.h"

qn_status qni_expect_seen(qni_infer *call, int i) {
    const qn_view *x = &call->in[0]->view;
    if (!call->in[i])
        return QN_OK;
    qn_status status = qni_expect_dtype(call, i, QN_U8);
    if (status == QN_OK && x->rank < 1)
        status = qn_context_fail(call->ctx, QN_SHAPE_MISMATCH, "%s: a scalar has no rows",
                                 call->op->name);
    return status != QN_OK ? status : qni_expect_shape(call, i, QN_SHAPE(x->shape[0], 1));
}

/* A kernel reads a state as one array. */
static qn_status expect_contiguous(const qni_infer *call, int i, const char *what) {
    if (qn_view_is_contiguous(&call->in[i]->view))
        return QN_OK;
    return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT, "%s: %s must be contiguous: %s",
                           call->op->name, what, qni_text(call->in[i]).s);
}

qn_status qni_expect_hyper(qni_infer *call, int i) {
    qn_status status = qni_expect_dtype(call, i, call->in[0]->view.dtype);
    if (status == QN_OK)
        status = qni_expect_shape(call, i, QN_SHAPE(QN_HYPER_COUNT));
    return status != QN_OK ? status : expect_contiguous(call, i, "hyper");
}

qn_status qni_infer_optim_step(qni_infer *call) {
    int hyper = call->n_in - 2;
    qn_status status = qni_expect_float(call, 0);
    const qn_dtype dtype = call->in[0]->view.dtype;
    if (status == QN_OK && dtype != QN_F32 && dtype != QN_F64) /* 16 bits lose most steps */
        status = qn_context_fail(call->ctx, QN_DTYPE_MISMATCH, "%s: expects f32 or f64, got %s",
                                 call->op->name, qn_dtype_string(dtype));
    for (int i = 0; i < hyper && status == QN_OK; i++) {
        if (!call->in[i])
            continue;
        status = qni_expect_same_dtype(call, i, 0);
        if (status == QN_OK)
            status = qni_expect_shape(call, i, qni_shape_of(&call->in[0]->view));
        if (status == QN_OK && i != 1)
            status = expect_contiguous(call, i, "parameter and state");
    }
    if (status == QN_OK)
        status = qni_expect_hyper(call, hyper);
    return status != QN_OK ? status : qni_expect_seen(call, hyper + 1);
}

/** An optimizer's settings as the kernels take them. */
static qn_optim_attrs attrs_of(const qn_optimizer_spec *spec) {
    qn_optim_attrs attrs = {0};
    attrs.weight_decay = spec->weight_decay;
    attrs.momentum = spec->momentum;
    attrs.dampening = spec->dampening;
    attrs.beta1 = spec->beta1;
    attrs.beta2 = spec->beta2;
    attrs.alpha = spec->alpha;
    attrs.rho = spec->rho;
    attrs.epsilon = spec->epsilon;
    attrs.nesterov = spec->nesterov;
    attrs.decoupled = spec->decoupled;
    return attrs;
}

qn_status qni_apply_optim_step(const qni_op *op, qn_tensor *const *in, int n_in,
                               const qn_optimizer_spec *spec) {
    if (!spec)
        return qn_context_fail(in[0] ? in[0]->ctx : NULL, QN_INVALID_ARGUMENT,
                               "%s: no settings given", op->name);
    qn_optim_attrs attrs = attrs_of(spec);
    return qni_apply_in_place(op, in, n_in, &attrs);
}
