/* nn_conv2d.c: the convolution layer. */
#include "nn_layer.h"

typedef struct conv2d {
    qn_tensor *weight; /* [out, in / groups, kernel, kernel] */
    qn_tensor *bias;   /* [out], or NULL */
    qn_conv2d_opts opts;
} conv2d;

static qn_tensor *conv2d_forward(qn_module *self, qn_tensor *x) {
    const conv2d *layer = qn_module_data(self);
    return qn_conv2d(x, layer->weight, layer->bias, &layer->opts);
}

/* Strides, dilations and paddings are judged by the operation, which sees the input too. */
static bool conv2d_valid(qn_context *ctx, int64_t in, int64_t out, int kernel, int groups) {
    if (in < 1 || out < 1 || kernel < 1)
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "conv2d: in, out and kernel must be at least 1, got %lld, %lld and %d",
                        (long long)in, (long long)out, kernel);
    else if (groups < 1 || in % groups || out % groups)
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "conv2d: groups must divide in %lld and out %lld, got %d", (long long)in,
                        (long long)out, groups);
    else
        return true;
    return false;
}

qn_module *qn_nn_conv2d(qn_context *ctx, int64_t in, int64_t out, int kernel,
                        const qn_conv2d_opts *opts) {
    conv2d data = {0};
    if (opts)
        data.opts = *opts;
    const int groups = data.opts.groups ? data.opts.groups : 1;
    if (!conv2d_valid(ctx, in, out, kernel, groups))
        return NULL;
    qn_module *module = qni_layer_new(ctx, "conv2d", conv2d_forward, &data, sizeof(data));
    if (!module)
        return NULL;
    conv2d *layer = qn_module_data(module);
    return qni_layer_add_weights(module, QN_SHAPE(out, in / groups, kernel, kernel), &layer->weight,
                                 data.opts.no_bias ? NULL : &layer->bias);
}
