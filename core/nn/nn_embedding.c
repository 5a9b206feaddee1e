/* nn_embedding.c: tables looked up by index: a row an index, or the mean or sum of a bag of
 * them. */
#include "nn_layer.h"

typedef struct embedding {
    qn_tensor *weight; /* [rows, width] */
    int64_t padding;   /* row that stands for padding, or -1 */
    qn_bag bag;
} embedding;

static qn_tensor *embedding_forward(qn_module *self, qn_tensor *x) {
    const embedding *layer = qn_module_data(self);
    return qn_embedding(layer->weight, x, layer->padding);
}

static qn_tensor *embedding_bag_forward(qn_module *self, qn_tensor *x) {
    const embedding *layer = qn_module_data(self);
    return qn_embedding_bag(layer->weight, x, layer->padding, layer->bag);
}

/* A table with its start values; false and an error on failure. */
static bool make_weight(qn_module *module, int64_t rows, int64_t width,
                        const qn_embedding_opts *opts) {
    embedding *layer = qn_module_data(module);
    qn_tensor *weight = qn_parameter(qn_module_context(module), QN_F32, QN_SHAPE(rows, width));
    if (opts && opts->sparse && !qn_require_sparse_grad(weight))
        return false;
    layer->weight = qn_module_add_parameter(module, "weight", weight);
    if (!layer->weight || qn_fill_normal(weight, 0, 1) != QN_OK)
        return false;
    return layer->padding < 0 || qn_fill(qn_slice(qn_detach(weight), 0, 0, 1), 0) == QN_OK;
}

static qn_module *new_table(qn_context *ctx, const char *kind, qn_forward_fn forward, int64_t rows,
                            int64_t width, qn_bag bag, const qn_embedding_opts *opts) {
    if (rows < 1 || width < 1) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "%s: rows and width must be at least 1, got %lld and %lld", kind,
                        (long long)rows, (long long)width);
        return NULL;
    }
    const embedding data = {.padding = opts && opts->padding ? 0 : -1, .bag = bag};
    qn_module *module = qni_layer_new(ctx, kind, forward, &data, sizeof(data));
    if (!module || make_weight(module, rows, width, opts))
        return module;
    qn_module_free(module);
    return NULL;
}

qn_module *qn_nn_embedding(qn_context *ctx, int64_t rows, int64_t width,
                           const qn_embedding_opts *opts) {
    return new_table(ctx, "embedding", embedding_forward, rows, width, QN_BAG_MEAN, opts);
}

qn_module *qn_nn_embedding_bag(qn_context *ctx, int64_t rows, int64_t width, qn_bag bag,
                               const qn_embedding_opts *opts) {
    return new_table(ctx, "embedding_bag", embedding_bag_forward, rows, width, bag, opts);
}
