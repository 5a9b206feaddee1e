/* nn_attention.c: multi-head attention (Vaswani et al. 2017). */
#include <math.h>

#include "nn_layer.h"

static const char *const KIND = "multi_head_attention";

typedef struct multi_head {
    qn_tensor *in_weight; /* [3 width, width]: of q, k and v, one below the other */
    qn_tensor *in_bias;   /* [3 width], or NULL */
    qn_module *out;
    int64_t width;
    int heads;
    qn_nn_attention_opts opts;
} multi_head;

/* ---- forward ----------------------------------------------------------------------------- */

/* x [n, t, width] through the part-th third of the input projection -> [n, t, heads, d]. */
static qn_tensor *project(const multi_head *layer, qn_tensor *x, int part) {
    const int64_t first = part * layer->width, end = first + layer->width;
    qn_tensor *weight = qn_slice(layer->in_weight, 0, first, end);
    qn_tensor *bias = layer->in_bias ? qn_slice(layer->in_bias, 0, first, end) : NULL;
    return qn_reshape(qn_linear(x, weight, bias),
                      QN_SHAPE(qn_tensor_dim(x, 0), qn_tensor_dim(x, 1), layer->heads,
                               layer->width / layer->heads));
}

/* One product for q, k and v, and one gradient. */
static qn_tensor *attend_to_self(const multi_head *layer, qn_tensor *x,
                                 const qn_attention_opts *opts) {
    qn_tensor *qkv = qn_reshape(qn_linear(x, layer->in_weight, layer->in_bias),
                                QN_SHAPE(qn_tensor_dim(x, 0), qn_tensor_dim(x, 1), 3, layer->heads,
                                         layer->width / layer->heads));
    return qn_attention_packed(qkv, opts);
}

static bool shape_fits(qn_module *module, const qn_tensor *x) {
    const multi_head *layer = qn_module_data(module);
    const qn_shape shape = qn_tensor_shape(x);
    if (shape.rank == 3 && shape.dim[2] == layer->width)
        return true;
    qn_context_fail(qn_module_context(module), QN_SHAPE_MISMATCH,
                    "%s: expects [n, t, %lld], got %d axes and %lld features", KIND,
                    (long long)layer->width, shape.rank, (long long)qn_tensor_dim(x, -1));
    return false;
}

static qn_tensor *multi_head_forward(qn_module *self, qn_tensor *x);

qn_tensor *qn_nn_attention_forward(qn_module *module, qn_tensor *q, qn_tensor *k, qn_tensor *v,
                                   qn_tensor *mask) {
    if (!qni_layer_given("attention_forward", module, (qn_tensor *[]){q, k, v}, 3))
        return NULL;
    if (!qn_module_runs(module, multi_head_forward)) {
        qn_context_fail(qn_module_context(module), QN_INVALID_ARGUMENT, "%s: the module is a %s",
                        KIND, qn_module_kind(module));
        return NULL;
    }
    if (!shape_fits(module, q) || !shape_fits(module, k) || !shape_fits(module, v))
        return NULL;
    const multi_head *layer = qn_module_data(module);
    qn_attention_opts opts = {.causal = layer->opts.causal, .mask = mask};
    if (mask && qn_tensor_shape(mask).rank == 2) {
        opts.mask =
            qn_reshape(mask, QN_SHAPE(qn_tensor_dim(mask, 0), 1, 1, qn_tensor_dim(mask, 1)));
        if (!opts.mask)
            return NULL;
    }
    if (qn_module_is_training(module))
        opts.dropout = layer->opts.dropout;
    qn_tensor *y = q == k && k == v ? attend_to_self(layer, q, &opts)
                                    : qn_attention(project(layer, q, 0), project(layer, k, 1),
                                                   project(layer, v, 2), &opts);
    const qn_shape shape = QN_SHAPE(qn_tensor_dim(q, 0), qn_tensor_dim(q, 1), layer->width);
    return qn_forward(layer->out, qn_reshape(y, shape));
}

static qn_tensor *multi_head_forward(qn_module *self, qn_tensor *x) {
    return qn_nn_attention_forward(self, x, x, x, NULL);
}

/* ---- making ------------------------------------------------------------------------------ */

/* The parameters, with the start values of the field's libraries. */
static bool add_parameters(qn_module *module) {
    multi_head *layer = qn_module_data(module);
    qn_context *ctx = qn_module_context(module);
    const int64_t width = layer->width;
    const double bound = sqrt(6.0 / (4 * (double)width)); /* Glorot's, of all three as one */
    const qn_linear_opts linear = {.no_bias = layer->opts.no_bias};
    layer->in_weight =
        qni_layer_uniform(module, "in_proj_weight", QN_SHAPE(3 * width, width), bound);
    if (layer->in_weight && !linear.no_bias)
        layer->in_bias = qni_layer_constant(module, "in_proj_bias", QN_SHAPE(3 * width), 0, true);
    if (!layer->in_weight || (!linear.no_bias && !layer->in_bias))
        return false;
    qn_module *out = qn_nn_linear(ctx, width, width, &linear);
    layer->out = out ? qn_module_add_child(module, "out_proj", out) : NULL;
    if (!layer->out) {
        qn_module_free(out);
        return false;
    }
    return linear.no_bias || qn_fill(qn_module_find(layer->out, "bias"), 0) == QN_OK;
}

qn_module *qn_nn_multi_head_attention(qn_context *ctx, int64_t width, int heads,
                                      const qn_nn_attention_opts *opts) {
    multi_head data = {.width = width, .heads = heads};
    if (opts)
        data.opts = *opts;
    if (width < 1 || heads < 1 || width % heads != 0 || width > INT64_MAX / 3) {
        qn_context_fail(
            ctx, QN_INVALID_ARGUMENT, "%s: width must be a multiple of heads%s, got %lld and %d",
            KIND, width > INT64_MAX / 3 ? " that memory can hold" : "", (long long)width, heads);
        return NULL;
    }
    if (!(data.opts.dropout >= 0 && data.opts.dropout < 1)) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: dropout must be in [0, 1), got %g", KIND,
                        data.opts.dropout);
        return NULL;
    }
    qn_module *module = qni_layer_new(ctx, KIND, multi_head_forward, &data, sizeof(data));
    if (module && !add_parameters(module)) {
        qn_module_free(module);
        return NULL;
    }
    return module;
}
