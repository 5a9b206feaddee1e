/* nn_norm.c: the normalisation layers. */
#include "nn_layer.h"

typedef struct batch_norm {
    qn_tensor *weight, *bias, *running_mean, *running_var; /* each [channels] */
    qn_batch_norm_opts opts;
} batch_norm;

typedef struct layer_norm {
    qn_tensor *weight, *bias; /* of the shape that is normalised over */
    double epsilon;
} layer_norm;

typedef struct instance_norm {
    qn_tensor *weight, *bias; /* each [channels] */
    double epsilon;
} instance_norm;

static qn_tensor *batch_norm_forward(qn_module *self, qn_tensor *x) {
    const batch_norm *layer = qn_module_data(self);
    return qn_batch_norm(x, layer->weight, layer->bias, layer->running_mean, layer->running_var,
                         qn_module_is_training(self), &layer->opts);
}

static qn_tensor *layer_norm_forward(qn_module *self, qn_tensor *x) {
    const layer_norm *layer = qn_module_data(self);
    return qn_layer_norm(x, qn_tensor_shape(layer->weight).rank, layer->weight, layer->bias,
                         layer->epsilon);
}

qn_module *qn_nn_batch_norm(qn_context *ctx, int64_t channels, const qn_batch_norm_opts *opts) {
    if (channels < 1) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "batch_norm: channels must be at least 1, got %lld", (long long)channels);
        return NULL;
    }
    batch_norm data = {0};
    if (opts)
        data.opts = *opts;
    qn_module *module = qni_layer_new(ctx, "batch_norm", batch_norm_forward, &data, sizeof(data));
    if (!module)
        return NULL;
    batch_norm *layer = qn_module_data(module);
    const qn_shape shape = QN_SHAPE(channels);
    if (!qni_layer_add_scale(module, shape, &layer->weight, &layer->bias))
        return NULL;
    layer->running_mean = qni_layer_constant(module, "running_mean", shape, 0, false);
    layer->running_var = qni_layer_constant(module, "running_var", shape, 1, false);
    if (!layer->running_mean || !layer->running_var) {
        qn_module_free(module);
        return NULL;
    }
    return module;
}

qn_module *qn_nn_layer_norm(qn_context *ctx, qn_shape shape, double epsilon) {
    if (shape.rank < 1 || !(epsilon >= 0)) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "layer_norm: needs an axis to normalise over and epsilon >= 0, got %d axes "
                        "and epsilon %g",
                        shape.rank, epsilon);
        return NULL;
    }
    layer_norm data = {.epsilon = epsilon > 0 ? epsilon : 1e-5};
    qn_module *module = qni_layer_new(ctx, "layer_norm", layer_norm_forward, &data, sizeof(data));
    if (!module)
        return NULL;
    layer_norm *layer = qn_module_data(module);
    return qni_layer_add_scale(module, shape, &layer->weight, &layer->bias);
}

static qn_tensor *instance_norm_forward(qn_module *self, qn_tensor *x) {
    const instance_norm *layer = qn_module_data(self);
    return qn_instance_norm(x, layer->weight, layer->bias, layer->epsilon);
}

qn_module *qn_nn_instance_norm(qn_context *ctx, int64_t channels, double epsilon) {
    if (channels < 1 || !(epsilon >= 0)) {
        qn_context_fail(
            ctx, QN_INVALID_ARGUMENT,
            "instance_norm: needs channels of at least 1 and epsilon >= 0, got %lld and %g",
            (long long)channels, epsilon);
        return NULL;
    }
    instance_norm data = {.epsilon = epsilon > 0 ? epsilon : 1e-5};
    qn_module *module =
        qni_layer_new(ctx, "instance_norm", instance_norm_forward, &data, sizeof(data));
    if (!module)
        return NULL;
    instance_norm *layer = qn_module_data(module);
    return qni_layer_add_scale(module, QN_SHAPE(channels), &layer->weight, &layer->bias);
}
