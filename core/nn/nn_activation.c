/* nn_activation.c: layers without parameters: activations, softmax, flatten, a function of one's
 * own. */
#include "nn_layer.h"

typedef struct function_layer {
    qn_tensor *(*function)(qn_tensor *x);
} function_layer;

typedef struct leaky_relu {
    double slope;
} leaky_relu;

typedef struct gelu {
    bool tanh_form;
} gelu;

typedef struct softmax {
    int axis;
} softmax;

static qn_tensor *function_forward(qn_module *self, qn_tensor *x) {
    const function_layer *layer = qn_module_data(self);
    return layer->function(x);
}

static qn_tensor *leaky_relu_forward(qn_module *self, qn_tensor *x) {
    const leaky_relu *layer = qn_module_data(self);
    return qn_leaky_relu(x, layer->slope);
}

static qn_tensor *gelu_forward(qn_module *self, qn_tensor *x) {
    const gelu *layer = qn_module_data(self);
    return qn_gelu(x, layer->tanh_form);
}

static qn_tensor *softmax_forward(qn_module *self, qn_tensor *x) {
    const softmax *layer = qn_module_data(self);
    return qn_softmax(x, layer->axis);
}

static qn_tensor *flatten_samples(qn_tensor *x) { return qn_flatten(x, 1); }

qn_module *qn_nn_function(qn_context *ctx, const char *kind, qn_tensor *(*function)(qn_tensor *x)) {
    if (!kind || !function) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "function: needs a kind and a function");
        return NULL;
    }
    function_layer data = {.function = function};
    return qni_layer_new(ctx, kind, function_forward, &data, sizeof(data));
}

qn_module *qn_nn_relu(qn_context *ctx) { return qn_nn_function(ctx, "relu", qn_relu); }

qn_module *qn_nn_silu(qn_context *ctx) { return qn_nn_function(ctx, "silu", qn_silu); }

qn_module *qn_nn_tanh(qn_context *ctx) { return qn_nn_function(ctx, "tanh", qn_tanh); }

qn_module *qn_nn_sigmoid(qn_context *ctx) { return qn_nn_function(ctx, "sigmoid", qn_sigmoid); }

qn_module *qn_nn_flatten(qn_context *ctx) {
    return qn_nn_function(ctx, "flatten", flatten_samples);
}

qn_module *qn_nn_leaky_relu(qn_context *ctx, double slope) {
    leaky_relu data = {.slope = slope};
    return qni_layer_new(ctx, "leaky_relu", leaky_relu_forward, &data, sizeof(data));
}

qn_module *qn_nn_gelu(qn_context *ctx, bool tanh_form) {
    gelu data = {.tanh_form = tanh_form};
    return qni_layer_new(ctx, "gelu", gelu_forward, &data, sizeof(data));
}

qn_module *qn_nn_softmax(qn_context *ctx, int axis) {
    softmax data = {.axis = axis};
    return qni_layer_new(ctx, "softmax", softmax_forward, &data, sizeof(data));
}
