/* layer_norm.c: layer normalisation (Ba, Kiros and Hinton 2016), and its gradient. */
#include "internal.h"

/** The axes first .. end - 1 of a view. */
static qn_shape part_of_shape(const qn_view *view, int first, int end) {
    qn_shape shape = {.rank = end - first, .dim = {0}};
    for (int axis = first; axis < end; axis++)
        shape.dim[axis - first] = view->shape[axis];
    return shape;
}

static qn_status layer_norm_infer(qni_infer *call) {
    int axes = ((const qn_norm_attrs *)call->attrs)->axes;
    const qn_view *x = &call->in[QN_LAYER_NORM_X]->view;
    qn_status status = qni_expect_float(call, 0);
    if (status != QN_OK)
        return status;
    if (axes < 1 || axes > x->rank)
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "layer_norm: cannot normalise the last %d axes of %s", axes,
                               qni_text(call->in[QN_LAYER_NORM_X]).s);
    qn_shape trailing = part_of_shape(x, x->rank - axes, x->rank);
    for (int i = 1; i < 3 && status == QN_OK; i++)
        status = qni_expect_like(call, i, 0, trailing);
    for (int i = 0; i < 3; i++) {
        call->dtype[i] = x->dtype;
        call->shape[i] = part_of_shape(x, 0, i == 0 ? x->rank : x->rank - axes);
    }
    return status;
}

/** The gradient in operations, for a result that will be differentiated again. */
static void layer_norm_backward_composed(qni_backward *b) {
    const qn_norm_attrs *attrs = b->attrs;
    qn_tensor *x = b->in[QN_LAYER_NORM_X], *weight = b->in[QN_LAYER_NORM_WEIGHT];
    qn_tensor *g = b->grad[0], *rstd;
    qn_axes axes = {.count = attrs->axes, .axis = {0}};
    for (int i = 0; i < attrs->axes; i++)
        axes.axis[i] = x->view.rank - attrs->axes + i;
    qn_tensor *xhat = qni_standardise(x, axes, attrs->epsilon, &rstd);
    if (b->needs[QN_LAYER_NORM_X]) {
        qn_tensor *inner = weight ? qn_mul(g, weight) : g;
        qni_give(b, QN_LAYER_NORM_X, qni_standardise_grad(inner, xhat, rstd, axes));
    }
    /* Weight and bias were broadcast over the leading axes, which qni_give() sums. */
    if (b->needs[QN_LAYER_NORM_WEIGHT])
        qni_give(b, QN_LAYER_NORM_WEIGHT, qn_mul(g, xhat));
    if (b->needs[QN_LAYER_NORM_BIAS])
        qni_give(b, QN_LAYER_NORM_BIAS, g);
}

static void layer_norm_backward(qni_backward *b) {
    if (!b->grad[0])
        return;
    if (b->create_graph) {
        layer_norm_backward_composed(b);
        return;
    }
    qn_tensor *in[5] = {b->grad[0], b->in[QN_LAYER_NORM_X], b->in[QN_LAYER_NORM_WEIGHT],
                        b->out[QN_LAYER_NORM_OUT_MEAN], b->out[QN_LAYER_NORM_OUT_RSTD]};
    qni_give_outputs(b, &qni_op_layer_norm_grad, in, 5, 3);
}

static bool layer_norm_keeps_rows(const void *attrs, const qn_view *in) {
    return ((const qn_norm_attrs *)attrs)->axes < in[0].rank;
}

const qni_op qni_op_layer_norm = {
    .name = "layer_norm",
    .in = "x weight bias",
    .out = "y mean rstd",
    .inputs = 3,
    .outputs = 3,
    .unread = 1u << 2,
    .unread_outputs = 1,
    .rows = 1u << 0,
    .keeps_rows = layer_norm_keeps_rows,
    .optional = 1u << 1 | 1u << 2,
    .attrs_size = sizeof(qn_norm_attrs),
    .fields = qni_norm_fields,
    .infer = layer_norm_infer,
    .backward = layer_norm_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 8},
};

qn_tensor *qn_layer_norm(qn_tensor *x, int axes, qn_tensor *weight, qn_tensor *bias,
                         double epsilon) {
    if (!x) {
        qn_context_fail(qn_tensor_context(weight ? weight : bias), QN_INVALID_ARGUMENT,
                        "layer_norm: x is NULL");
        return NULL;
    }
    if (!(epsilon >= 0)) {
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT,
                        "layer_norm: epsilon must not be negative, got %g", epsilon);
        return NULL;
    }
    qn_norm_attrs attrs = {0};
    attrs.epsilon = epsilon;
    attrs.axes = weight ? weight->view.rank : axes;
    qn_tensor *in[3] = {x, weight, bias}, *out[3];
    return qni_apply_all(&qni_op_layer_norm, in, 3, &attrs, out) == QN_OK ? out[0] : NULL;
}

static qn_status layer_norm_grad_infer(qni_infer *call) {
    int axes = ((const qn_norm_attrs *)call->attrs)->axes;
    const qn_view *x = &call->in[QN_LAYER_NORM_GRAD_X]->view;
    qn_status status = qni_expect_float(call, 1);
    if (status != QN_OK)
        return status;
    if (axes < 1 || axes > x->rank)
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "layer_norm_grad: cannot normalise the last %d axes of %s", axes,
                               qni_text(call->in[QN_LAYER_NORM_GRAD_X]).s);
    qn_shape whole = qni_shape_of(x), leading = part_of_shape(x, 0, x->rank - axes);
    qn_shape trailing = part_of_shape(x, x->rank - axes, x->rank);
    const qn_shape shape[5] = {whole, whole, trailing, leading, leading};
    for (int i = 0; i < 5 && status == QN_OK; i++)
        status = qni_expect_like(call, i, 1, shape[i]);
    for (int i = 0; i < 3; i++) {
        call->dtype[i] = x->dtype;
        call->shape[i] = i == 0 ? whole : trailing;
    }
    return status;
}

const qni_op qni_op_layer_norm_grad = {
    .name = "layer_norm_grad",
    .in = "g x weight mean rstd",
    .out = "dx dweight dbias",
    .inputs = 5,
    .outputs = 3,
    .optional = 1u << 2,
    .attrs_size = sizeof(qn_norm_attrs),
    .fields = qni_norm_fields,
    .infer = layer_norm_grad_infer,
    .cost = {.of = QNI_PER_OUTPUT, .each = 12},
    .no_derivative = "second derivatives go by way of composed operations",
};
