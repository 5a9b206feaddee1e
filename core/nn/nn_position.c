/* nn_position.c: what tells a position in a sequence from another. */
#include <math.h>
#include <stdlib.h>

#include "nn_layer.h"

typedef struct position {
    qn_tensor *encoding; /* [length, width] */
} position;

qn_tensor *qn_sinusoids(qn_context *ctx, int64_t length, int64_t width) {
    qn_tensor *x = qn_empty(ctx, QN_F32, QN_SHAPE(length, width));
    const size_t bytes = (size_t)qn_tensor_count(x) * sizeof(float);
    float *values = x ? malloc(bytes + 1) : NULL;
    if (!values) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "sinusoids: out of memory");
        return NULL;
    }
    for (int64_t t = 0; t < length; t++)
        for (int64_t i = 0; i < width; i++) {
            const double turn = (double)t / pow(10000, (double)(i - i % 2) / (double)width);
            values[t * width + i] = (float)(i % 2 ? cos(turn) : sin(turn));
        }
    const qn_status status = qn_tensor_write(x, values, bytes);
    free(values);
    return status == QN_OK ? x : NULL;
}

static qn_tensor *position_forward(qn_module *self, qn_tensor *x) {
    const position *layer = qn_module_data(self);
    const int64_t steps = qn_tensor_dim(x, -2), length = qn_tensor_dim(layer->encoding, 0);
    if (steps > length) {
        qn_context_fail(qn_module_context(self), QN_SHAPE_MISMATCH,
                        "positional_encoding: %lld positions, at most %lld", (long long)steps,
                        (long long)length);
        return NULL;
    }
    return qn_add(x, qn_slice(layer->encoding, 0, 0, steps));
}

qn_module *qn_nn_positional_encoding(qn_context *ctx, int64_t length, int64_t width, bool trained) {
    if (length < 1 || width < 1) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "positional_encoding: length and width must be at least 1, got %lld and "
                        "%lld",
                        (long long)length, (long long)width);
        return NULL;
    }
    qn_module *module = qni_layer_new(ctx, "positional_encoding", position_forward, &(position){0},
                                      sizeof(position));
    if (!module)
        return NULL;
    position *layer = qn_module_data(module);
    if (trained) {
        qn_tensor *table = qn_parameter(ctx, QN_F32, QN_SHAPE(length, width));
        layer->encoding = qn_module_add_parameter(module, "encoding", table);
        if (layer->encoding && qn_fill_normal(layer->encoding, 0, 0.02) != QN_OK)
            layer->encoding = NULL;
    } else {
        layer->encoding =
            qn_module_add_buffer(module, "encoding", qn_sinusoids(ctx, length, width));
    }
    if (!layer->encoding) {
        qn_module_free(module);
        return NULL;
    }
    return module;
}
