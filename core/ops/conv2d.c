/* conv2d.c: two-dimensional convolution and its two gradients, each the transpose of another in one
 * of its arguments, so that any number of derivatives follows. */
#include "internal.h"

/** Output shape of a convolution of x [n, c, h, w] with w [o, c / groups, kh, kw]. */
static qn_status conv2d_shape(qni_infer *call, qn_shape x, qn_shape w, qn_shape *y) {
    const qn_conv2d_attrs *attrs = call->attrs;
    const char *op = call->op->name;
    int64_t channels = x.dim[1], outputs = w.dim[0];
    if (attrs->groups < 1)
        return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                               "%s: groups must be at least 1, got %d", op, (int)attrs->groups);
    if (channels % attrs->groups != 0 || outputs % attrs->groups != 0)
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "%s: %d groups do not divide %lld input and %lld output channels: "
                               "%s x %s",
                               op, (int)attrs->groups, (long long)channels, (long long)outputs,
                               qn_shape_text(x).s, qn_shape_text(w).s);
    if (channels / attrs->groups != w.dim[1])
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "%s: input has %lld channels but weight expects %lld: %s x %s", op,
                               (long long)channels, (long long)w.dim[1] * attrs->groups,
                               qn_shape_text(x).s, qn_shape_text(w).s);
    *y = QN_SHAPE(x.dim[0], outputs, 0, 0);
    for (int i = 0; i < 2; i++) {
        const qni_window window = {.input = x.dim[2 + i],
                                   .kernel = w.dim[2 + i],
                                   .stride = attrs->stride[i],
                                   .padding = attrs->padding[i],
                                   .dilation = attrs->dilation[i]};
        y->dim[2 + i] = qni_window_count(call, i, &window);
        if (y->dim[2 + i] < 0)
            return qn_context_error(call->ctx, NULL);
    }
    return QN_OK;
}

/** Both of the first two inputs are planes of channels of one floating-point dtype. */
static qn_status expect_planes(qni_infer *call) {
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_same_dtype(call, 1, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 0, 4);
    return status != QN_OK ? status : qni_expect_rank(call, 1, 4);
}

static qn_status conv2d_infer(qni_infer *call) {
    qn_status status = expect_planes(call);
    if (status != QN_OK)
        return status;
    qn_shape x = qni_shape_of(&call->in[0]->view), w = qni_shape_of(&call->in[1]->view);
    status = conv2d_shape(call, x, w, &call->shape[0]);
    if (status == QN_OK)
        status = qni_expect_like(call, 2, 0, QN_SHAPE(w.dim[0]));
    call->dtype[0] = call->in[0]->view.dtype;
    return status;
}

/** Applies one of the three, the attributes' extents set for it, and
 * gives the result to input i. */
static void give_transpose(qni_backward *b, int i, const qni_op *op, qn_tensor *first,
                           qn_tensor *second) {
    if (!b->needs[i])
        return;
    const qn_view *like = &b->in[i]->view;
    qn_conv2d_attrs attrs = *(const qn_conv2d_attrs *)b->attrs;
    for (int axis = 0; axis < 2; axis++) {
        int32_t extent = (int32_t)like->shape[2 + axis];
        attrs.input[axis] = op == &qni_op_conv2d_grad_input ? extent : 0;
        attrs.kernel[axis] = op == &qni_op_conv2d_grad_weight ? extent : 0;
    }
    qn_tensor *in[3] = {first, second, NULL};
    qni_give(b, i, qni_apply_to(op, in, op->inputs, &attrs, qni_target(b, i)));
}

static void conv2d_backward(qni_backward *b) {
    qn_tensor *x = b->in[0], *w = b->in[1], *g = b->grad[0];
    give_transpose(b, 0, &qni_op_conv2d_grad_input, g, w);
    give_transpose(b, 1, &qni_op_conv2d_grad_weight, x, g);
    if (b->needs[2])
        qni_give(b, 2, qn_sum(g, QN_AXES(0, 2, 3), false));
}

static int32_t *conv2d_relu(void *attrs) { return &((qn_conv2d_attrs *)attrs)->relu; }

/* A kernel for each output. */
static double conv2d_operations(const qn_view *in, const qn_view *out) {
    return 2 * qni_count(out) * qni_count(&in[1]) / (double)in[1].shape[0];
}

const qni_op qni_op_conv2d = {
    .name = "conv2d",
    .in = "x w bias",
    .out = "y",
    .inputs = 3,
    .outputs = 1,
    .unread = 1u << 2,
    .unread_outputs = 1,
    .optional = 1u << 2,
    .attrs_size = sizeof(qn_conv2d_attrs),
    .fields = qni_conv2d_fields,
    .relu = conv2d_relu,
    .infer = conv2d_infer,
    .backward = conv2d_backward,
    .cost = {.of = QNI_FORMULA, .formula = conv2d_operations},
};

qn_tensor *qn_conv2d(qn_tensor *x, qn_tensor *weight, qn_tensor *bias, const qn_conv2d_opts *opts) {
    static const qn_conv2d_opts defaults = {0};
    if (!opts)
        opts = &defaults;
    qn_conv2d_attrs attrs = {0};
    static const int32_t one[2] = {1, 1};
    qni_window_pair(attrs.stride, opts->stride, one);
    qni_window_pair(attrs.dilation, opts->dilation, one);
    qni_window_padding(attrs.padding, opts->padding);
    attrs.groups = opts->groups == 0 ? 1 : opts->groups;
    return qni_apply(&qni_op_conv2d, (qn_tensor *[]){x, weight, bias}, 3, &attrs);
}

/* conv2d_grad_input: (g, w) -> dx. <u, dx(g, w)> = <conv2d(u, w), g>. */

static qn_status conv2d_grad_input_infer(qni_infer *call) {
    const qn_conv2d_attrs *attrs = call->attrs;
    qn_status status = expect_planes(call);
    if (status != QN_OK)
        return status;
    qn_shape g = qni_shape_of(&call->in[0]->view), w = qni_shape_of(&call->in[1]->view), y;
    call->dtype[0] = call->in[0]->view.dtype;
    call->shape[0] = QN_SHAPE(g.dim[0], w.dim[1] * attrs->groups, attrs->input[0], attrs->input[1]);
    status = conv2d_shape(call, call->shape[0], w, &y);
    return status != QN_OK ? status : qni_expect_shape(call, 0, y);
}

static void conv2d_grad_input_backward(qni_backward *b) {
    qn_tensor *g = b->in[0], *w = b->in[1], *u = b->grad[0];
    give_transpose(b, 0, &qni_op_conv2d, u, w);
    give_transpose(b, 1, &qni_op_conv2d_grad_weight, u, g);
}

static double conv2d_grad_input_operations(const qn_view *in, const qn_view *out) {
    (void)out;
    return 2 * qni_count(&in[0]) * qni_count(&in[1]) / (double)in[1].shape[0];
}

const qni_op qni_op_conv2d_grad_input = {
    .name = "conv2d_grad_input",
    .in = "g w",
    .out = "dx",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_conv2d_attrs),
    .fields = qni_conv2d_fields,
    .infer = conv2d_grad_input_infer,
    .backward = conv2d_grad_input_backward,
    .cost = {.of = QNI_FORMULA, .formula = conv2d_grad_input_operations},
};

/* conv2d_grad_weight: (x, g) -> dw. <v, dw(x, g)> = <conv2d(x, v), g>. */

static qn_status conv2d_grad_weight_infer(qni_infer *call) {
    const qn_conv2d_attrs *attrs = call->attrs;
    qn_status status = expect_planes(call);
    if (status != QN_OK)
        return status;
    qn_shape x = qni_shape_of(&call->in[0]->view), g = qni_shape_of(&call->in[1]->view), y;
    int64_t channels = attrs->groups > 0 ? x.dim[1] / attrs->groups : 0;
    call->dtype[0] = call->in[0]->view.dtype;
    call->shape[0] = QN_SHAPE(g.dim[1], channels, attrs->kernel[0], attrs->kernel[1]);
    status = conv2d_shape(call, x, call->shape[0], &y);
    return status != QN_OK ? status : qni_expect_shape(call, 1, y);
}

static void conv2d_grad_weight_backward(qni_backward *b) {
    qn_tensor *x = b->in[0], *g = b->in[1], *v = b->grad[0];
    give_transpose(b, 0, &qni_op_conv2d_grad_input, g, v);
    give_transpose(b, 1, &qni_op_conv2d, x, v);
}

static double conv2d_grad_weight_operations(const qn_view *in, const qn_view *out) {
    return 2 * qni_count(&in[1]) * qni_count(out) / (double)out[0].shape[0];
}

const qni_op qni_op_conv2d_grad_weight = {
    .name = "conv2d_grad_weight",
    .in = "x g",
    .out = "dw",
    .inputs = 2,
    .outputs = 1,
    .attrs_size = sizeof(qn_conv2d_attrs),
    .fields = qni_conv2d_fields,
    .infer = conv2d_grad_weight_infer,
    .backward = conv2d_grad_weight_backward,
    .cost = {.of = QNI_FORMULA, .formula = conv2d_grad_weight_operations},
};
