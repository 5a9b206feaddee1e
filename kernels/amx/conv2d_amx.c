/* conv2d_amx.c: conv2d and its gradients in bf16 on tiles: with stride 1 and many channels as amx_conv.h has it, else as
 * a product for each group, whose windows are gathered:
 *
 *     y:   rows: output channels    columns: images and outputs    sums: channels and taps
 *     dx:  rows: channels           columns: images and inputs     sums: output channels and taps
 *     dw:  rows: output channels    columns: channels and taps     sums: images and outputs */
#include "amx_conv.h"

/* Groups that follow each other `stride` elements apart. */
static qn_view groups_of(const qn_conv2d_attrs *attrs, int64_t stride) {
    return (qn_view){.rank = 1, .shape = {attrs->groups}, .stride = {stride}};
}

/* A pair of an outer number, whose steps are elements, and a place on the plane: first + index * move. */
static amx_axis plane_axis(int64_t step, const int64_t extent[2], const int64_t first[2],
                           const int64_t move[2]) {
    return (amx_axis){.extent = {extent[0], extent[1]},
                      .step = {step, 0, 0},
                      .first = {first[0], first[1]},
                      .move = {move[0], move[1]}};
}

/* The last two axes of a view and one before them, as an index that leads by steps alone. */
static amx_axis steps_axis(const qn_view *view, int outer) {
    return (amx_axis){.extent = {view->shape[2], view->shape[3]},
                      .step = {view->stride[outer], view->stride[2], view->stride[3]}};
}

static amx_operand plane_of(const qn_view *view, amx_axis outer, amx_axis inner) {
    return (amx_operand){.data = view->data,
                         .outer = outer,
                         .inner = inner,
                         .on_plane = true,
                         .extent = {view->shape[2], view->shape[3]},
                         .stride = {view->stride[2], view->stride[3]},
                         .divisor = {1, 1}};
}

/* Where the results of a product go whose rows are channels of images [n, c, h, w]. */
static void to_images(amx_product *p, const qn_view *out) {
    const int64_t plane = out->shape[2] * out->shape[3];
    p->c = out->data;
    p->c_row = p->run = plane;
    p->c_next = p->m * plane;
    p->run_next = out->shape[1] * plane;
    p->n = out->shape[0] * plane;
}

static amx_product forward(const qn_call *call) {
    const qn_view *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    const qn_conv2d_attrs *t = call->attrs;
    amx_product p = {.m = w->shape[0] / t->groups,
                     .k = w->shape[1] * w->shape[2] * w->shape[3],
                     .count = t->groups,
                     .relu = t->relu != 0};
    to_images(&p, y);
    const amx_axis outputs = plane_axis(x->stride[0], (int64_t[]){y->shape[2], y->shape[3]},
                                        (int64_t[]){-t->padding[0], -t->padding[1]},
                                        (int64_t[]){t->stride[0], t->stride[1]});
    const amx_axis taps =
        plane_axis(x->stride[1], (int64_t[]){w->shape[2], w->shape[3]}, (int64_t[]){0, 0},
                   (int64_t[]){t->dilation[0], t->dilation[1]});
    p.a = (amx_operand){
        .data = w->data, .outer = amx_axis_of(w->stride[0]), .inner = steps_axis(w, 1)};
    p.b = plane_of(x, outputs, taps);
    p.a_lead = groups_of(t, p.m * w->stride[0]);
    p.b_lead = groups_of(t, w->shape[1] * x->stride[1]);
    if (call->n_in > 2 && call->in[2].data) {
        p.bias = call->in[2].data;
        p.bias_row = call->in[2].stride[0];
        p.bias_next = p.m * p.bias_row;
    }
    return p;
}

/* dx[y] sums g[(y + padding - tap * dilation) / stride] where the division is exact. */
static amx_product grad_input(const qn_call *call) {
    const qn_view *g = &call->in[0], *w = &call->in[1], *dx = &call->out[0];
    const qn_conv2d_attrs *t = call->attrs;
    const int64_t outputs = w->shape[0] / t->groups;
    amx_product p = {
        .m = w->shape[1], .k = outputs * w->shape[2] * w->shape[3], .count = t->groups};
    to_images(&p, dx);
    const amx_axis inputs =
        plane_axis(g->stride[0], (int64_t[]){dx->shape[2], dx->shape[3]},
                   (int64_t[]){t->padding[0], t->padding[1]}, (int64_t[]){1, 1});
    const amx_axis taps =
        plane_axis(g->stride[1], (int64_t[]){w->shape[2], w->shape[3]}, (int64_t[]){0, 0},
                   (int64_t[]){-t->dilation[0], -t->dilation[1]});
    p.a = (amx_operand){
        .data = w->data, .outer = amx_axis_of(w->stride[1]), .inner = steps_axis(w, 0)};
    p.b = plane_of(g, inputs, taps);
    p.b.divisor[0] = t->stride[0];
    p.b.divisor[1] = t->stride[1];
    p.a_lead = groups_of(t, outputs * w->stride[0]);
    p.b_lead = groups_of(t, outputs * g->stride[1]);
    return p;
}

static amx_product grad_weight(const qn_call *call) {
    const qn_view *x = &call->in[0], *g = &call->in[1], *dw = &call->out[0];
    const qn_conv2d_attrs *t = call->attrs;
    amx_product p = {.m = dw->shape[0] / t->groups,
                     .n = dw->shape[1] * dw->shape[2] * dw->shape[3],
                     .k = g->shape[0] * g->shape[2] * g->shape[3],
                     .count = t->groups,
                     .c = dw->data};
    const amx_axis taps = plane_axis(x->stride[1], (int64_t[]){dw->shape[2], dw->shape[3]},
                                     (int64_t[]){-t->padding[0], -t->padding[1]},
                                     (int64_t[]){t->dilation[0], t->dilation[1]});
    const amx_axis outputs = plane_axis(x->stride[0], (int64_t[]){g->shape[2], g->shape[3]},
                                        (int64_t[]){0, 0}, (int64_t[]){t->stride[0], t->stride[1]});
    p.a = (amx_operand){
        .data = g->data, .outer = amx_axis_of(g->stride[1]), .inner = steps_axis(g, 0)};
    p.b = plane_of(x, taps, outputs);
    p.a_lead = groups_of(t, p.m * g->stride[1]);
    p.b_lead = groups_of(t, dw->shape[1] * x->stride[1]);
    p.c_row = p.run = p.n;
    p.c_next = p.m * p.n;
    return p;
}

/* ---- stride 1 ------------------------------------------------------------------------------ */

static bool has_stride_one(const qn_conv2d_attrs *t) {
    return t->stride[0] == 1 && t->stride[1] == 1;
}

/* One group of the first image. */
static amx_image image_of(const qn_view *view, int64_t channels) {
    return (amx_image){.data = view->data,
                       .extent = {channels, view->shape[2], view->shape[3]},
                       .stride = {view->stride[1], view->stride[2], view->stride[3]}};
}

static amx_correlation correlation(const qn_call *call) {
    const qn_view *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    const qn_conv2d_attrs *t = call->attrs;
    amx_correlation c = {.images = x->shape[0],
                         .groups = t->groups,
                         .rows = w->shape[0] / t->groups,
                         .channels = w->shape[1],
                         .taps = {w->shape[2], w->shape[3]},
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
    if (call->n_in > 2 && call->in[2].data) {
        c.bias = call->in[2].data;
        c.bias_step = call->in[2].stride[0];
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

/* Workspace and run of one way or the other. */
static size_t workspace_of(const qn_call *call, const amx_correlation *c, const amx_product *p) {
    if (has_stride_one(call->attrs) && qnk_amx_correlation_fits(c))
        return qnk_amx_correlation_workspace(c, call->threads);
    return qnk_amx_product_workspace(p);
}

static void run_either(const qn_call *call, const amx_correlation *c, const amx_product *p) {
    if (has_stride_one(call->attrs) && qnk_amx_correlation_fits(c))
        qnk_amx_correlation_run(c, call->workspace, call->threads);
    else
        qnk_amx_product_run(p, call->workspace, call->threads);
}

/* ---- the kernels --------------------------------------------------------------------------- */

static size_t workspace(const qn_call *call) {
    const amx_product p = forward(call);
    const amx_correlation c = correlation(call);
    return workspace_of(call, &c, &p);
}

/* x [n, c, h, w], w [o, c / groups, kh, kw] (+ bias [o]) -> y [n, o, oh, ow] */
static qn_status run(const qn_call *call) {
    const amx_product p = forward(call);
    const amx_correlation c = correlation(call);
    run_either(call, &c, &p);
    return QN_OK;
}

const qn_kernel qnk_amx_conv2d = {.size = sizeof(qn_kernel),
                                  .op = "conv2d",
                                  .declines = qnk_amx_declines,
                                  .workspace = workspace,
                                  .run = run};

static size_t workspace_grad_input(const qn_call *call) {
    const amx_product p = grad_input(call);
    const amx_correlation c = backward_correlation(call);
    return workspace_of(call, &c, &p);
}

/* g [n, o, oh, ow], w [o, c / groups, kh, kw] -> dx [n, c, h, w] */
static qn_status run_grad_input(const qn_call *call) {
    const amx_product p = grad_input(call);
    const amx_correlation c = backward_correlation(call);
    run_either(call, &c, &p);
    return QN_OK;
}

const qn_kernel qnk_amx_conv2d_grad_input = {.size = sizeof(qn_kernel),
                                             .op = "conv2d_grad_input",
                                             .declines = qnk_amx_declines,
                                             .workspace = workspace_grad_input,
                                             .run = run_grad_input};

static size_t workspace_grad_weight(const qn_call *call) {
    const amx_product p = grad_weight(call);
    const amx_grad_weight w = weight_sums(call);
    if (has_stride_one(call->attrs) && qnk_amx_grad_weight_fits(&w))
        return qnk_amx_grad_weight_workspace(&w);
    return qnk_amx_product_workspace(&p);
}

/* x [n, c, h, w], g [n, o, oh, ow] -> dw [o, c / groups, kh, kw] */
static qn_status run_grad_weight(const qn_call *call) {
    const amx_product p = grad_weight(call);
    const amx_grad_weight w = weight_sums(call);
    if (has_stride_one(call->attrs) && qnk_amx_grad_weight_fits(&w))
        qnk_amx_grad_weight_run(&w, call->workspace, call->threads);
    else
        qnk_amx_product_run(&p, call->workspace, call->threads);
    return QN_OK;
}

const qn_kernel qnk_amx_conv2d_grad_weight = {.size = sizeof(qn_kernel),
                                              .op = "conv2d_grad_weight",
                                              .declines = qnk_amx_declines,
                                              .workspace = workspace_grad_weight,
                                              .run = run_grad_weight};
