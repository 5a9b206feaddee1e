/* nn_layer.c: what the layers share. */
#include "nn_layer.h"

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
    return qn_module_new(ctx, kind, forward, copy, free);
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
