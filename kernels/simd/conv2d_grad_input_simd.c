/* conv2d_grad_input_simd.c: the gradient of conv2d by its input, f32.
 *
 *     dx[c][y] = sum over o and taps j of w[o][c][j] g[o][(y + padding - j dilation) / stride]
 *
 * where the division is exact. Positions y that leave the same remainder when y + padding is
 * divided by the stride use the same taps: they make one pass, in which g is read step by step. */
#include "simd_bf16.h"
#include "simd_conv_tiles.h"

static int64_t common_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The axis for positions y with (y + padding) % stride == remainder. */
static conv_axis backward_axis(const qn_conv2d_attrs *attrs, int i, int64_t remainder,
                               int64_t kernel, int64_t in) {
    const int64_t stride = attrs->stride[i], padding = attrs->padding[i];
    const int64_t dilation = attrs->dilation[i], extent = attrs->input[i];
    conv_axis axis = {.in = in, .step = 1, .to_step = stride};
    axis.to_first = ((remainder - padding) % stride + stride) % stride;
    axis.out = axis.to_first < extent ? (extent - axis.to_first + stride - 1) / stride : 0;
    axis.tap_step = stride / common_divisor(stride, dilation);
    while (axis.tap_first < kernel && axis.tap_first * dilation % stride != remainder)
        axis.tap_first++;
    axis.taps = (kernel - axis.tap_first + axis.tap_step - 1) / axis.tap_step;
    if (axis.taps > 0)
        axis.shift_first = (axis.to_first + padding - axis.tap_first * dilation) / stride;
    axis.shift_step = -(axis.tap_step * dilation / stride);
    return axis;
}

static conv_pass backward(const qn_call *call, int64_t remainder) {
    const qn_view *g = &call->in[0], *w = &call->in[1], *dx = &call->out[0];
    const qn_conv2d_attrs *attrs = call->attrs;
    conv_pass pass = {.batch = g->shape[0],
                      .groups = attrs->groups,
                      .channels = w->shape[0] / attrs->groups,
                      .rows = w->shape[1],
                      .source = g->data,
                      .weight = w->data,
                      .weight_row = w->stride[1],
                      .weight_channel = w->stride[0],
                      .weight_tap = {w->stride[2], w->stride[3]},
                      .winograd = call->precision != QN_PRECISION_BF16,
                      .out = dx->data,
                      .out_extent = {dx->shape[2], dx->shape[3]}};
    pass.weight_group = pass.channels * w->stride[0];
    for (int axis = 0; axis < 4; axis++)
        pass.source_stride[axis] = g->stride[axis];
    pass.axis[0] = backward_axis(attrs, 0, remainder / attrs->stride[1], w->shape[2], g->shape[2]);
    pass.axis[1] = backward_axis(attrs, 1, remainder % attrs->stride[1], w->shape[3], g->shape[3]);
    return pass;
}

static int64_t pass_count(const qn_call *call) {
    const qn_conv2d_attrs *attrs = call->attrs;
    return (int64_t)attrs->stride[0] * attrs->stride[1];
}

static const char *declines(const qn_call *call) {
    return call->in[0].dtype == QN_F32 ? NULL : "f32 only";
}

static size_t workspace_f32(const qn_call *call) {
    size_t most = 0;
    for (int64_t remainder = 0; remainder < pass_count(call); remainder++) {
        const conv_pass pass = backward(call, remainder);
        const size_t bytes = conv_pass_workspace(&pass, call->threads);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* g [n, o, oh, ow], w [o, c / groups, kh, kw] -> dx [n, c, h, w] */
static qn_status run_f32(const qn_call *call) {
    for (int64_t remainder = 0; remainder < pass_count(call); remainder++) {
        const conv_pass pass = backward(call, remainder);
        conv_pass_run(&pass, call->workspace, call->threads);
    }
    return QN_OK;
}

static size_t workspace(const qn_call *call) { return simd_product_workspace(call, workspace_f32); }

static qn_status run(const qn_call *call) { return simd_product_run(call, run_f32); }

const qn_kernel SIMD_KERNEL(conv2d_grad_input) = {.size = sizeof(qn_kernel),
                                                  .op = "conv2d_grad_input",
                                                  .declines = declines,
                                                  .workspace = workspace,
                                                  .run = run,
                                                  .attrs_size = sizeof(qn_conv2d_attrs)};
