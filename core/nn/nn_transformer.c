/* nn_transformer.c: the encoder layer of the transformer (Vaswani et al. 2017), with its norms
 * behind the sums or in front of the parts (Xiong et al. 2020). */

#include "nn_layer.h"

static const char *const KIND = "transformer_encoder_layer";

typedef struct encoder_layer {
    qn_module *attention, *linear1, *linear2, *norm1, *norm2;
    qn_nn_transformer_opts opts;
} encoder_layer;

/* ---- forward ----------------------------------------------------------------------------- */

static qn_tensor *drop(qn_module *self, qn_tensor *x) {
    const encoder_layer *layer = qn_module_data(self);
    return qn_dropout(x, layer->opts.dropout, qn_module_is_training(self));
}

/* Batch norm sees the positions of all samples as rows. */
static qn_tensor *normalise(qn_module *self, qn_module *norm, qn_tensor *x) {
    const encoder_layer *layer = qn_module_data(self);
    if (!x || !layer->opts.batch_norm)
        return qn_forward(norm, x);
    const qn_shape shape = qn_tensor_shape(x);
    qn_tensor *rows = qn_reshape(x, QN_SHAPE(shape.dim[0] * shape.dim[1], shape.dim[2]));
    return qn_reshape(qn_forward(norm, rows), shape);
}

static qn_tensor *attend(qn_module *self, qn_tensor *x, qn_tensor *mask) {
    const encoder_layer *layer = qn_module_data(self);
    return drop(self, qn_nn_attention_forward(layer->attention, x, x, x, mask));
}

static qn_tensor *feed_forward(qn_module *self, qn_tensor *x) {
    const encoder_layer *layer = qn_module_data(self);
    qn_tensor *hidden = qn_forward(layer->linear1, x);
    hidden = layer->opts.gelu ? qn_gelu(hidden, false) : qn_relu(hidden);
    return drop(self, qn_forward(layer->linear2, drop(self, hidden)));
}

static qn_tensor *both_parts(qn_module *self, qn_tensor *x, qn_tensor *mask) {
    const encoder_layer *layer = qn_module_data(self);
    if (layer->opts.norm_first) {
        x = qn_add(x, attend(self, normalise(self, layer->norm1, x), mask));
        return qn_add(x, feed_forward(self, normalise(self, layer->norm2, x)));
    }
    x = normalise(self, layer->norm1, qn_add(x, attend(self, x, mask)));
    return normalise(self, layer->norm2, qn_add(x, feed_forward(self, x)));
}

static qn_tensor *encoder_layer_forward(qn_module *self, qn_tensor *x);

qn_tensor *qn_nn_transformer_forward(qn_module *module, qn_tensor *x, qn_tensor *mask) {
    if (!qni_layer_given("transformer_forward", module, (qn_tensor *[]){x}, 1))
        return NULL;
    if (!qn_module_runs(module, encoder_layer_forward)) {
        qn_context_fail(qn_module_context(module), QN_INVALID_ARGUMENT, "%s: the module is a %s",
                        KIND, qn_module_kind(module));
        return NULL;
    }
    if (qn_tensor_shape(x).rank != 3) {
        qn_context_fail(qn_module_context(module), QN_SHAPE_MISMATCH,
                        "%s: expects [n, t, width], got %d axes", KIND, qn_tensor_shape(x).rank);
        return NULL;
    }
    qn_context *ctx = qn_module_context(module);
    const int begin = qn_tidy_begin(ctx);
    qn_tensor *y = both_parts(module, x, mask);
    qn_tidy_end(ctx, begin, &y, 1);
    return y;
}

static qn_tensor *encoder_layer_forward(qn_module *self, qn_tensor *x) {
    return qn_nn_transformer_forward(self, x, NULL);
}

/* ---- making ------------------------------------------------------------------------------ */

/* Adds a child, and frees it where that fails. */
static qn_module *add(qn_module *module, const char *name, qn_module *child) {
    if (!child || qn_module_add_child(module, name, child))
        return child;
    qn_module_free(child);
    return NULL;
}

static qn_module *new_norm(qn_context *ctx, int64_t width, bool batch_norm) {
    return batch_norm ? qn_nn_batch_norm(ctx, width, NULL)
                      : qn_nn_layer_norm(ctx, QN_SHAPE(width), 0);
}

static bool add_parts(qn_module *module, int64_t width, int heads) {
    encoder_layer *layer = qn_module_data(module);
    const qn_nn_transformer_opts *opts = &layer->opts;
    qn_context *ctx = qn_module_context(module);
    const qn_nn_attention_opts attention = {.dropout = opts->batch_norm ? 0 : opts->dropout,
                                            .causal = opts->causal};
    layer->attention =
        add(module, "self_attn", qn_nn_multi_head_attention(ctx, width, heads, &attention));
    if (layer->attention)
        layer->linear1 = add(module, "linear1", qn_nn_linear(ctx, width, opts->feed_forward, NULL));
    if (layer->linear1)
        layer->linear2 = add(module, "linear2", qn_nn_linear(ctx, opts->feed_forward, width, NULL));
    if (layer->linear2)
        layer->norm1 = add(module, "norm1", new_norm(ctx, width, opts->batch_norm));
    if (layer->norm1)
        layer->norm2 = add(module, "norm2", new_norm(ctx, width, opts->batch_norm));
    return layer->norm2 != NULL;
}

qn_module *qn_nn_transformer_encoder_layer(qn_context *ctx, int64_t width, int heads,
                                           const qn_nn_transformer_opts *opts) {
    encoder_layer data = {0};
    if (opts)
        data.opts = *opts;
    if (width < 1 || width > INT64_MAX / 4) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: width %lld, expected 1 to %lld", KIND,
                        (long long)width, (long long)(INT64_MAX / 4));
        return NULL;
    }
    if (data.opts.feed_forward == 0)
        data.opts.feed_forward = 4 * width;
    if (!(data.opts.dropout >= 0 && data.opts.dropout < 1) || data.opts.feed_forward < 0) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "%s: needs dropout in [0, 1) and feed_forward >= 0, got %g and %lld", KIND,
                        data.opts.dropout, (long long)data.opts.feed_forward);
        return NULL;
    }
    qn_module *module = qni_layer_new(ctx, KIND, encoder_layer_forward, &data, sizeof(data));
    if (module && !add_parts(module, width, heads)) {
        qn_module_free(module);
        return NULL;
    }
    return module;
}
