/* nn_conv1d.c: the layer that convolves along time. */
#include "nn_layer.h"

typedef struct conv1d {
    qn_tensor *weight; /* [out, in / groups, kernel] */
    qn_tensor *bias;   /* [out], or NULL */
    qn_conv1d_opts opts;
} conv1d;

static qn_tensor *conv1d_forward(qn_module *self, qn_tensor *x) {
    const conv1d *layer = qn_module_data(self);
    return qn_conv1d(x, layer->weight, layer->bias, &layer->opts);
}

/* Stride, dilation and padding are judged by the operation, which sees the input too. */
static bool conv1d_valid(qn_context *ctx, int64_t in, int64_t out, int kernel, int groups) {
    const bool valid =
        in >= 1 && out >= 1 && kernel >= 1 && groups >= 1 && in % groups == 0 && out % groups == 0;
    if (!valid)
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "conv1d: in, out and kernel must be at least 1 and groups divide in and "
                        "out, got %lld, %lld, %d and %d groups",
                        (long long)in, (long long)out, kernel, groups);
    return valid;
}

qn_module *qn_nn_conv1d(qn_context *ctx, int64_t in, int64_t out, int kernel,
                        const qn_conv1d_opts *opts) {
    conv1d data = {0};
    if (opts)
        data.opts = *opts;
    const int groups = data.opts.groups ? data.opts.groups : 1;
    if (!conv1d_valid(ctx, in, out, kernel, groups))
        return NULL;
    qn_module *module = qni_layer_new(ctx, "conv1d", conv1d_forward, &data, sizeof(data));
    if (!module)
        return NULL;
    conv1d *layer = qn_module_data(module);
    return qni_layer_add_weights(module, QN_SHAPE(out, in / groups, kernel), &layer->weight,
                                 data.opts.no_bias ? NULL : &layer->bias);
}
