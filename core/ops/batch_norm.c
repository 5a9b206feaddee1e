/* batch_norm.c: batch normalisation (Ioffe and Szegedy 2015), and its gradient. */
#include "internal.h"

static qn_status batch_norm_infer(qni_infer *call) {
    const qn_norm_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[QN_BATCH_NORM_X]->view;
    qn_status status = qni_expect_float(call, 0);
    if (status != QN_OK)
        return status;
    if (x->rank < 2)
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "batch_norm: input must be [n, channels, ...], got %s",
                               qni_text(call->in[QN_BATCH_NORM_X]).s);
    if (!call->in[QN_BATCH_NORM_WEIGHT] != !call->in[QN_BATCH_NORM_BIAS])
        return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                               "batch_norm: weight and bias go together");
    qn_shape channels = QN_SHAPE(x->shape[1]);
    for (int i = 1; i < 5 && status == QN_OK; i++)
        status = qni_expect_like(call, i, 0, channels);
    for (int i = 3; i < 5 && status == QN_OK && attrs->training; i++)
        status = qni_check_writable(call->op->name, call->in[i]);
    if (status != QN_OK)
        return status;
    if (attrs->training && x->shape[1] > 0 && qn_view_count(x) / x->shape[1] < 2)
        return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                               "batch_norm: training needs more than one value per channel: %s",
                               qni_text(call->in[QN_BATCH_NORM_X]).s);
    for (int i = 0; i < 3; i++) {
        call->dtype[i] = x->dtype;
        call->shape[i] = i == 0 ? qni_shape_of(x) : channels;
    }
    return QN_OK;
}

/** Every axis but the channels'. */
static qn_axes all_but_channels(int rank) {
    qn_axes axes = QN_AXES(0);
    for (int axis = 2; axis < rank; axis++)
        axes.axis[axes.count++] = axis;
    return axes;
}

/** [c] -> [1, c, 1, ...], to go with an input of this rank. */
static qn_tensor *per_channel(qn_tensor *x, int rank) {
    qn_shape shape = {.rank = rank, .dim = {1, qn_tensor_dim(x, 0), 1, 1, 1, 1}};
    return qn_reshape(x, shape);
}

/** The gradient in operations, for a result that will be differentiated again. */
static void batch_norm_backward_composed(qni_backward *b) {
    const qn_norm_attrs *attrs = b->attrs;
    qn_tensor *x = b->in[QN_BATCH_NORM_X], *weight = b->in[QN_BATCH_NORM_WEIGHT];
    qn_tensor *g = b->grad[0], *xhat, *rstd;
    int rank = x->view.rank;
    qn_axes axes = all_but_channels(rank);
    if (attrs->training) {
        xhat = qni_standardise(x, axes, attrs->epsilon, &rstd);
    } else {
        qn_tensor *mean = per_channel(qn_detach(b->out[QN_BATCH_NORM_OUT_MEAN]), rank);
        rstd = per_channel(qn_detach(b->out[QN_BATCH_NORM_OUT_RSTD]), rank);
        xhat = qn_mul(qn_sub(x, mean), rstd);
    }
    if (b->needs[QN_BATCH_NORM_X]) {
        qn_tensor *inner = weight ? qn_mul(g, per_channel(weight, rank)) : g;
        qni_give(b, QN_BATCH_NORM_X,
                 attrs->training ? qni_standardise_grad(inner, xhat, rstd, axes)
                                 : qn_mul(inner, rstd));
    }
    if (b->needs[QN_BATCH_NORM_WEIGHT])
        qni_give(b, QN_BATCH_NORM_WEIGHT, qn_sum(qn_mul(g, xhat), axes, false));
    if (b->needs[QN_BATCH_NORM_BIAS])
        qni_give(b, QN_BATCH_NORM_BIAS, qn_sum(g, axes, false));
}

static void batch_norm_backward(qni_backward *b) {
    if (!b->grad[0])
        return;
    if (b->create_graph) {
        batch_norm_backward_composed(b);
        return;
    }
    qn_tensor *in[5] = {b->grad[0], b->in[QN_BATCH_NORM_X], b->in[QN_BATCH_NORM_WEIGHT],
                        b->out[QN_BATCH_NORM_OUT_MEAN], b->out[QN_BATCH_NORM_OUT_RSTD]};
    qni_give_outputs(b, &qni_op_batch_norm_grad, in, 5, 3);
}

static int32_t *batch_norm_relu(void *attrs) { return &((qn_norm_attrs *)attrs)->relu; }

const qni_op qni_op_batch_norm = {
    .name = "batch_norm",
    .in = "x weight bias running_mean running_var",
    .out = "y mean rstd",
    .inputs = 5,
    .outputs = 3,
    .unread = 1u << 2,
    .unread_outputs = 1,
    .optional = 1u << 1 | 1u << 2,
    .mutates = 1u << 3 | 1u << 4,
    .attrs_size = sizeof(qn_norm_attrs),
    .fields = qni_norm_fields,
    .relu = batch_norm_relu,
    .infer = batch_norm_infer,
    .backward = batch_norm_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 8},
};

qn_tensor *qn_batch_norm(qn_tensor *x, qn_tensor *weight, qn_tensor *bias, qn_tensor *running_mean,
                         qn_tensor *running_var, bool training, const qn_batch_norm_opts *opts) {
    if (!qni_given("batch_norm", (qn_tensor *[]){x, running_mean, running_var}, 3))
        return NULL;
    qn_norm_attrs attrs = {0};
    attrs.epsilon = opts && opts->epsilon != 0 ? opts->epsilon : 1e-5;
    attrs.momentum = opts && opts->momentum != 0 ? opts->momentum : 0.1;
    attrs.training = training;
    if (!(attrs.epsilon > 0 && attrs.momentum > 0 && attrs.momentum <= 1)) {
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT,
                        "batch_norm: epsilon must be positive and momentum within 0 and 1, got %g "
                        "and %g",
                        attrs.epsilon, attrs.momentum);
        return NULL;
    }
    qn_tensor *in[5] = {x, weight, bias, running_mean, running_var}, *out[3];
    return qni_apply_all(&qni_op_batch_norm, in, 5, &attrs, out) == QN_OK ? out[0] : NULL;
}

static qn_status batch_norm_grad_infer(qni_infer *call) {
    const qn_view *x = &call->in[QN_BATCH_NORM_GRAD_X]->view;
    qn_status status = qni_expect_float(call, 1);
    qn_shape channels = QN_SHAPE(x->rank > 1 ? x->shape[1] : 0);
    for (int i = 0; i < 5 && status == QN_OK; i++)
        status = qni_expect_like(call, i, 1, i < 2 ? qni_shape_of(x) : channels);
    for (int i = 0; i < 3; i++) {
        call->dtype[i] = x->dtype;
        call->shape[i] = i == 0 ? qni_shape_of(x) : channels;
    }
    return status;
}

const qni_op qni_op_batch_norm_grad = {
    .name = "batch_norm_grad",
    .in = "g x weight mean rstd",
    .out = "dx dweight dbias",
    .inputs = 5,
    .outputs = 3,
    .optional = 1u << 2,
    .attrs_size = sizeof(qn_norm_attrs),
    .fields = qni_norm_fields,
    .infer = batch_norm_grad_infer,
    .cost = {.of = QNI_PER_OUTPUT, .each = 12},
    .no_derivative = "second derivatives go by way of composed operations",
};
