/* conv2d_simd.c: convolution in f32, any stride, padding, dilation and groups (see
 * simd_conv_tiles.h).
 */
#include "simd_bf16.h"
#include "simd_conv_tiles.h"

/* y[t] = sum over j of w[j] x[t * stride + j * dilation - padding] */
static conv_axis forward_axis(const qn_conv2d_attrs *attrs, int i, int64_t in, int64_t kernel,
                              int64_t out) {
    return (conv_axis){.in = in,
                       .out = out,
                       .step = attrs->stride[i],
                       .taps = kernel,
                       .tap_step = 1,
                       .shift_first = -attrs->padding[i],
                       .shift_step = attrs->dilation[i],
                       .to_step = 1};
}

static conv_pass forward(const qn_call *call) {
    const qn_view *x = &call->in[QN_CONV2D_X], *w = &call->in[QN_CONV2D_W], *y = &call->out[0];
    const qn_conv2d_attrs *attrs = call->attrs;
    conv_pass pass = {.batch = x->shape[0],
                      .groups = attrs->groups,
                      .channels = w->shape[1],
                      .rows = w->shape[0] / attrs->groups,
                      .source = x->data,
                      .weight = w->data,
                      .weight_row = w->stride[0],
                      .weight_channel = w->stride[1],
                      .weight_tap = {w->stride[2], w->stride[3]},
                      .relu = attrs->relu != 0,
                      .winograd = call->precision != QN_PRECISION_BF16,
                      .out = y->data,
                      .out_extent = {y->shape[2], y->shape[3]}};
    pass.weight_group = pass.rows * w->stride[0];
    for (int axis = 0; axis < 4; axis++)
        pass.source_stride[axis] = x->stride[axis];
    for (int i = 0; i < 2; i++)
        pass.axis[i] = forward_axis(attrs, i, x->shape[2 + i], w->shape[2 + i], y->shape[2 + i]);
    if (call->n_in > QN_CONV2D_BIAS && call->in[QN_CONV2D_BIAS].data) {
        pass.bias = call->in[QN_CONV2D_BIAS].data;
        pass.bias_step = call->in[QN_CONV2D_BIAS].stride[0];
    }
    return pass;
}

static const char *declines(const qn_call *call) {
    return call->in[QN_CONV2D_X].dtype == QN_F32 ? NULL : "f32 only";
}

static size_t workspace_f32(const qn_call *call) {
    const conv_pass pass = forward(call);
    return conv_pass_workspace(&pass, call->threads);
}

/* x [n, c, h, w], w [o, c / groups, kh, kw] (+ bias [o]) -> y [n, o, oh, ow] */
static qn_status run_f32(const qn_call *call) {
    const conv_pass pass = forward(call);
    conv_pass_run(&pass, call->workspace, call->threads);
    return QN_OK;
}

static size_t workspace(const qn_call *call) { return simd_product_workspace(call, workspace_f32); }

static qn_status run(const qn_call *call) { return simd_product_run(call, run_f32); }

const qn_kernel SIMD_KERNEL(conv2d) = {.size = sizeof(qn_kernel),
                                       .op = "conv2d",
                                       .declines = declines,
                                       .workspace = workspace,
                                       .run = run,
                                       .attrs_size = sizeof(qn_conv2d_attrs)};
