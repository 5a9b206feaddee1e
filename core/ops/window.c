/* window.c: the geometry of sliding windows, shared by convolution and pooling. */
#include "internal.h"

static const char *const axis_name[3] = {"height", "width", "length"};

int64_t qni_window_count(qni_infer *call, int axis, const qni_window *window) {
    const char *op = call->op->name, *name = axis_name[axis];
    const char *wrong = window->kernel < 1     ? "kernel must be at least 1"
                        : window->stride < 1   ? "stride must be at least 1"
                        : window->dilation < 1 ? "dilation must be at least 1"
                        : window->padding < 0  ? "padding must not be negative"
                                               : NULL;
    if (wrong) {
        qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                        "%s: %s along the %s (kernel %lld, stride %lld, padding %lld, dilation "
                        "%lld)",
                        op, wrong, name, (long long)window->kernel, (long long)window->stride,
                        (long long)window->padding, (long long)window->dilation);
        return -1;
    }
    /* Kernels count in 32 bits inside a plane; below, nothing can overflow 64. */
    if (window->input > INT32_MAX || window->kernel > INT32_MAX) {
        qn_context_fail(call->ctx, QN_INVALID_ARGUMENT, "%s: %s of %lld is too large", op, name,
                        (long long)(window->input > INT32_MAX ? window->input : window->kernel));
        return -1;
    }
    int64_t reach = window->dilation * (window->kernel - 1) + 1;
    int64_t padded = window->input + 2 * window->padding;
    if (reach > padded) {
        qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                        "%s: a window of %lld is larger than the padded %s of %lld: %s", op,
                        (long long)reach, name, (long long)padded, qni_text(call->in[0]).s);
        return -1;
    }
    return (padded - reach) / window->stride + 1;
}

void qni_window_pair(int32_t pair[2], const int given[2], const int32_t otherwise[2]) {
    pair[0] = given[0] != 0 ? given[0] : otherwise[0];
    pair[1] = given[1] != 0 ? given[1] : given[0] != 0 ? given[0] : otherwise[1];
}

void qni_window_padding(int32_t pair[2], const int given[2]) {
    static const int32_t none[2] = {0, 0};
    qni_window_pair(pair, given, none);
    for (int i = 0; i < 2; i++)
        if (pair[i] == QN_NO_PADDING)
            pair[i] = 0;
}

qn_pool2d_attrs qni_pool2d_attrs(const qn_pool2d_opts *opts) {
    qn_pool2d_attrs attrs = {0};
    if (!opts)
        return attrs;
    static const int32_t none[2] = {0, 0};
    qni_window_pair(attrs.kernel, opts->kernel, none);
    qni_window_pair(attrs.stride, opts->stride, attrs.kernel);
    qni_window_padding(attrs.padding, opts->padding);
    attrs.count_include_pad = !opts->exclude_pad;
    return attrs;
}

/** Windows along both axes for an input of height and width `input`. */
static qn_status pool2d_counts(qni_infer *call, const int64_t input[2], int64_t count[2]) {
    const qn_pool2d_attrs *attrs = call->attrs;
    for (int i = 0; i < 2; i++) {
        if (input[i] < 1)
            return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH, "%s: input has a %s of 0",
                                   call->op->name, axis_name[i]);
        if (attrs->kernel[i] > 0 && attrs->padding[i] > attrs->kernel[i] / 2)
            return qn_context_fail(call->ctx, QN_INVALID_ARGUMENT,
                                   "%s: padding must be at most half the kernel along the %s, got "
                                   "%d for a kernel of %d",
                                   call->op->name, axis_name[i], (int)attrs->padding[i],
                                   (int)attrs->kernel[i]);
        const qni_window window = {.input = input[i],
                                   .kernel = attrs->kernel[i],
                                   .stride = attrs->stride[i],
                                   .padding = attrs->padding[i],
                                   .dilation = 1};
        count[i] = qni_window_count(call, i, &window);
        if (count[i] < 0)
            return qn_context_error(call->ctx, NULL);
    }
    return QN_OK;
}

qn_status qni_infer_pool2d(qni_infer *call) {
    const qn_view *x = &call->in[0]->view;
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 0, 4);
    int64_t count[2];
    if (status == QN_OK)
        status = pool2d_counts(call, &x->shape[2], count);
    if (status != QN_OK)
        return status;
    call->dtype[0] = x->dtype;
    call->shape[0] = QN_SHAPE(x->shape[0], x->shape[1], count[0], count[1]);
    return QN_OK;
}

qn_status qni_infer_pool2d_grad(qni_infer *call) {
    const qn_view *g = &call->in[0]->view;
    const int32_t *extent = ((const qn_pool2d_attrs *)call->attrs)->input;
    const int64_t input[2] = {extent[0], extent[1]};
    int64_t count[2];
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 0, 4);
    if (status == QN_OK)
        status = pool2d_counts(call, input, count);
    if (status != QN_OK)
        return status;
    call->dtype[0] = g->dtype;
    call->shape[0] = QN_SHAPE(g->shape[0], g->shape[1], input[0], input[1]);
    return qni_expect_shape(call, 0, QN_SHAPE(g->shape[0], g->shape[1], count[0], count[1]));
}
