/* conv2d_amx.c: conv2d and its gradients in bf16 on tiles, where there are many channels (see
 * amx_conv.h). The others are left to vectors: their tiles would be mostly zeros. So is the
 * gradient by the input with a stride. */
#include "amx_conv.h"

/* One group of the first image. */
static amx_image image_of(const qn_view *view, int64_t channels) {
    return (amx_image){.data = view->data,
                       .extent = {channels, view->shape[2], view->shape[3]},
                       .stride = {view->stride[1], view->stride[2], view->stride[3]}};
}

static amx_correlation correlation(const qn_call *call) {
    const qn_view *x = &call->in[QN_CONV2D_X], *w = &call->in[QN_CONV2D_W], *y = &call->out[0];
    const qn_conv2d_attrs *t = call->attrs;
    amx_correlation c = {.images = x->shape[0],
                         .groups = t->groups,
                         .rows = w->shape[0] / t->groups,
                         .channels = w->shape[1],
                         .taps = {w->shape[2], w->shape[3]},
                         .stride = {t->stride[0], t->stride[1]},
                         .dilation = {t->dilation[0], t->dilation[1]},
                         .padding = {t->padding[0], t->padding[1]},
                         .out = {y->shape[2], y->shape[3]},
                         .image = image_of(x, w->shape[1]),
                         .image_next = x->stride[0],
                         .image_group = w->shape[1] * x->stride[1],
                         .weight = w->data,
                         .weight_row = w->stride[0],
                         .weight_channel = w->stride[1],
                         .weight_tap = {w->stride[2], w->stride[3]},
                         .y = y->data,
                         .relu = t->relu != 0};
    c.weight_group = c.rows * w->stride[0];
    if (call->n_in > QN_CONV2D_BIAS && call->in[QN_CONV2D_BIAS].data) {
        c.bias = call->in[QN_CONV2D_BIAS].data;
        c.bias_step = call->in[QN_CONV2D_BIAS].stride[0];
    }
    return c;
}

/* dx from g: rows are channels, channels outputs, and the taps run backwards. */
static amx_correlation backward_correlation(const qn_call *call) {
    const qn_view *g = &call->in[0], *w = &call->in[1], *dx = &call->out[0];
    const qn_conv2d_attrs *t = call->attrs;
    const int64_t outputs = w->shape[0] / t->groups;
    amx_correlation c = {.images = g->shape[0],
                         .groups = t->groups,
                         .rows = w->shape[1],
                         .channels = outputs,
                         .taps = {w->shape[2], w->shape[3]},
                         .stride = {1, 1},
                         .dilation = {t->dilation[0], t->dilation[1]},
                         .out = {dx->shape[2], dx->shape[3]},
                         .image = image_of(g, outputs),
                         .image_next = g->stride[0],
                         .image_group = outputs * g->stride[1],
                         .weight = w->data,
                         .weight_row = w->stride[1],
                         .weight_channel = w->stride[0],
                         .weight_tap = {-w->stride[2], -w->stride[3]},
                         .weight_group = outputs * w->stride[0],
                         .y = dx->data};
    for (int i = 0; i < 2; i++) {
        c.padding[i] = (c.taps[i] - 1) * c.dilation[i] - t->padding[i];
        c.weight += c.taps[i] > 0 ? (c.taps[i] - 1) * w->stride[2 + i] : 0;
    }
    return c;
}

static amx_grad_weight weight_sums(const qn_call *call) {
    const qn_view *x = &call->in[0], *g = &call->in[1], *dw = &call->out[0];
    const qn_conv2d_attrs *t = call->attrs;
    const int64_t rows = dw->shape[0] / t->groups;
    return (amx_grad_weight){.images = x->shape[0],
                             .groups = t->groups,
                             .rows = rows,
                             .channels = dw->shape[1],
                             .taps = {dw->shape[2], dw->shape[3]},
                             .stride = {t->stride[0], t->stride[1]},
                             .dilation = {t->dilation[0], t->dilation[1]},
                             .padding = {t->padding[0], t->padding[1]},
                             .g = image_of(g, rows),
                             .x = image_of(x, dw->shape[1]),
                             .g_next = g->stride[0],
                             .g_group = rows * g->stride[1],
                             .x_next = x->stride[0],
                             .x_group = dw->shape[1] * x->stride[1],
                             .dw = dw->data};
}

/* ---- the kernels --------------------------------------------------------------------------- */

static const char few[] = "16 channels or more, and outputs that fill tiles, only";

static const char *declines(const qn_call *call) {
    const char *reason = qnk_amx_declines(call);
    if (reason)
        return reason;
    const amx_correlation c = correlation(call);
    return qnk_amx_correlation_fits(&c) ? NULL : few;
}

static size_t workspace(const qn_call *call) {
    const amx_correlation c = correlation(call);
    return qnk_amx_correlation_workspace(&c, call->threads);
}

/* x [n, c, h, w], w [o, c / groups, kh, kw] (+ bias [o]) -> y [n, o, oh, ow] */
static qn_status run(const qn_call *call) {
    const amx_correlation c = correlation(call);
    qnk_amx_correlation_run(&c, call->workspace, call->threads);
    return QN_OK;
}

const qn_kernel qnk_amx_conv2d = {.size = sizeof(qn_kernel),
                                  .op = "conv2d",
                                  .declines = declines,
                                  .workspace = workspace,
                                  .run = run,
                                  .attrs_size = sizeof(qn_conv2d_attrs)};

static const char *declines_grad_input(const qn_call *call) {
    const char *reason = qnk_amx_declines(call);
    if (reason)
        return reason;
    const qn_conv2d_attrs *t = call->attrs;
    if (t->stride[0] != 1 || t->stride[1] != 1)
        return "stride 1 only";
    const amx_correlation c = backward_correlation(call);
    return qnk_amx_correlation_fits(&c) ? NULL : few;
}

static size_t workspace_grad_input(const qn_call *call) {
    const amx_correlation c = backward_correlation(call);
    return qnk_amx_correlation_workspace(&c, call->threads);
}

/* g [n, o, oh, ow], w [o, c / groups, kh, kw] -> dx [n, c, h, w] */
static qn_status run_grad_input(const qn_call *call) {
    const amx_correlation c = backward_correlation(call);
    qnk_amx_correlation_run(&c, call->workspace, call->threads);
    return QN_OK;
}

const qn_kernel qnk_amx_conv2d_grad_input = {.size = sizeof(qn_kernel),
                                             .op = "conv2d_grad_input",
                                             .declines = declines_grad_input,
                                             .workspace = workspace_grad_input,
                                             .run = run_grad_input,
                                             .attrs_size = sizeof(qn_conv2d_attrs)};

static const char *declines_grad_weight(const qn_call *call) {
    const char *reason = qnk_amx_declines(call);
    if (reason)
        return reason;
    const amx_grad_weight w = weight_sums(call);
    return qnk_amx_grad_weight_fits(&w) ? NULL : few;
}

static size_t workspace_grad_weight(const qn_call *call) {
    const amx_grad_weight w = weight_sums(call);
    return qnk_amx_grad_weight_workspace(&w);
}

/* x [n, c, h, w], g [n, o, oh, ow] -> dw [o, c / groups, kh, kw] */
static qn_status run_grad_weight(const qn_call *call) {
    const amx_grad_weight w = weight_sums(call);
    qnk_amx_grad_weight_run(&w, call->workspace, call->threads);
    return QN_OK;
}

const qn_kernel qnk_amx_conv2d_grad_weight = {.size = sizeof(qn_kernel),
                                              .op = "conv2d_grad_weight",
                                              .declines = declines_grad_weight,
                                              .workspace = workspace_grad_weight,
                                              .run = run_grad_weight,
                                              .attrs_size = sizeof(qn_conv2d_attrs)};
