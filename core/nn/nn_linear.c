/* nn_linear.c: the fully connected layer. */
#include "nn_layer.h"

typedef struct linear {
    qn_tensor *weight; /* [out, in] */
    qn_tensor *bias;   /* [out], or NULL */
} linear;

static qn_tensor *linear_forward(qn_module *self, qn_tensor *x) {
    const linear *layer = qn_module_data(self);
    return qn_linear(x, layer->weight, layer->bias);
}

qn_module *qn_nn_linear(qn_context *ctx, int64_t in, int64_t out, const qn_linear_opts *opts) {
    if (in < 1 || out < 1) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "linear: in and out must be at least 1, got %lld and %lld", (long long)in,
                        (long long)out);
        return NULL;
    }
    qn_module *module = qni_layer_new(ctx, "linear", linear_forward, &(linear){0}, sizeof(linear));
    if (!module)
        return NULL;
    linear *layer = qn_module_data(module);
    return qni_layer_add_weights(module, QN_SHAPE(out, in), &layer->weight,
                                 opts && opts->no_bias ? NULL : &layer->bias);
}
