/* nn_layer.c: what the layers share. */
#include "nn_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

qn_module *qni_layer_new(qn_context *ctx, const char *kind, qn_forward_fn forward, const void *data,
                         size_t bytes) {
    void *copy = ctx ? malloc(bytes) : NULL;
    if (!copy) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory", kind);
        return NULL;
    }
    memcpy(copy, data, bytes);
    return qn_module_tidy(qn_module_new(ctx, kind, forward, copy, free));
}

qn_tensor *qni_layer_uniform(qn_module *layer, const char *name, qn_shape shape, double bound) {
    qn_tensor *parameter =
        qn_module_add_parameter(layer, name, qn_parameter(qn_module_context(layer), QN_F32, shape));
    return parameter && qn_fill_uniform(parameter, -bound, bound) == QN_OK ? parameter : NULL;
}

qn_tensor *qni_layer_constant(qn_module *layer, const char *name, qn_shape shape, double value,
                              bool trained) {
    qn_context *ctx = qn_module_context(layer);
    qn_tensor *tensor = trained
                            ? qn_module_add_parameter(layer, name, qn_parameter(ctx, QN_F32, shape))
                            : qn_module_add_buffer(layer, name, qn_zeros(ctx, QN_F32, shape));
    return tensor && qn_fill(tensor, value) == QN_OK ? tensor : NULL;
}

/** The layer if it is complete; frees it and gives NULL if not. */
static qn_module *finished(qn_module *layer, bool complete) {
    if (complete)
        return layer;
    qn_module_free(layer);
    return NULL;
}

qn_module *qni_layer_add_weights(qn_module *layer, qn_shape shape, qn_tensor **weight,
                                 qn_tensor **bias) {
    if (!layer)
        return NULL;
    double fan_in = 1;
    for (int axis = 1; axis < shape.rank; axis++)
        fan_in *= (double)shape.dim[axis];
    const double bound = 1 / sqrt(fan_in);
    *weight = qni_layer_uniform(layer, "weight", shape, bound);
    if (*weight && bias)
        *bias = qni_layer_uniform(layer, "bias", QN_SHAPE(shape.dim[0]), bound);
    return finished(layer, *weight && (!bias || *bias));
}

qn_module *qni_layer_add_scale(qn_module *layer, qn_shape shape, qn_tensor **weight,
                               qn_tensor **bias) {
    if (!layer)
        return NULL;
    *weight = qni_layer_constant(layer, "weight", shape, 1, true);
    *bias = qni_layer_constant(layer, "bias", shape, 0, true);
    return finished(layer, *weight && *bias);
}

bool qni_layer_given(const char *what, const qn_module *module, qn_tensor *const *x, int count) {
    qn_context *ctx = qn_module_context(module);
    int missing = -1;
    for (int i = count - 1; i >= 0; i--)
        if (x[i])
            ctx = ctx ? ctx : qn_tensor_context(x[i]);
        else
            missing = i;
    if (module && missing < 0)
        return true;
    if (module)
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: tensor %d is NULL", what, missing);
    else
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: the module is NULL", what);
    return false;
}
