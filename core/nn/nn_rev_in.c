/* nn_rev_in.c: reversible instance normalisation (Kim et al. 2022): a series without its own level
 * and scale on the way in, and with them again on the way out. */
#include <stdlib.h>

#include "nn_layer.h"

static const double variance_epsilon = 1e-5;
static const double weight_epsilon = 1e-10; /* a weight of 0 can be divided by */

typedef struct rev_in {
    qn_tensor *weight, *bias; /* each [channels] */
    qn_tensor *mean, *std; /* kept, [most n so far, 1, channels]; NULL before the first forward */
    int64_t samples;       /* of the last forward: so many rows of them count */
} rev_in;

/** Statistics are their layer's own, so that they outlive the step that made them. */
static void forget(rev_in *layer) {
    qn_tensor_free(layer->mean);
    qn_tensor_free(layer->std);
    layer->mean = layer->std = NULL;
}

static void rev_in_destroy(void *data) {
    forget(data);
    free(data);
}

/** Whether a kept tensor has room for the rows of x. */
static bool has_room(const qn_tensor *kept, const qn_tensor *x) {
    return kept && qn_tensor_dtype(kept) == qn_tensor_dtype(x) &&
           qn_tensor_dim(kept, 0) >= qn_tensor_dim(x, 0) &&
           qn_tensor_dim(kept, 2) == qn_tensor_dim(x, 2);
}

/** The first rows of a kept tensor. */
static qn_tensor *rows(const rev_in *layer, qn_tensor *kept) {
    return qn_slice(kept, 0, 0, layer->samples);
}

/** Copies statistics to where they are kept; that is there from the largest batch on, so that a
 * plan can repeat it. False when it failed. */
static bool keep(rev_in *layer, qn_tensor *mean, qn_tensor *std) {
    if (!mean || !std)
        return false;
    if (!has_room(layer->mean, mean) || !has_room(layer->std, std)) {
        forget(layer);
        qn_context *ctx = qn_tensor_context(mean);
        layer->mean = qn_keep(qn_empty(ctx, qn_tensor_dtype(mean), qn_tensor_shape(mean)));
        layer->std = qn_keep(qn_empty(ctx, qn_tensor_dtype(std), qn_tensor_shape(std)));
    }
    layer->samples = qn_tensor_dim(mean, 0);
    return qn_copy(rows(layer, layer->mean), mean) == QN_OK &&
           qn_copy(rows(layer, layer->std), std) == QN_OK;
}

static qn_tensor *rev_in_forward(qn_module *self, qn_tensor *x) {
    rev_in *layer = qn_module_data(self);
    qn_tensor *fixed = qn_detach(x);
    qn_tensor *variance = qn_var(fixed, QN_AXES(1), 0, true);
    qn_tensor *mean = qn_mean(fixed, QN_AXES(1), true);
    qn_tensor *std = qn_sqrt(qn_affine(variance, 1, variance_epsilon));
    if (!keep(layer, mean, std)) {
        forget(layer);
        return NULL;
    }
    return qn_add(qn_mul(qn_sub(x, mean), qn_div(layer->weight, std)), layer->bias);
}

qn_tensor *qn_nn_rev_in_restore(qn_module *module, qn_tensor *y) {
    if (!qni_layer_given("rev_in", module, (qn_tensor *[]){y}, 1))
        return NULL;
    qn_context *ctx = qn_module_context(module);
    const rev_in *layer = qn_module_runs(module, rev_in_forward) ? qn_module_data(module) : NULL;
    if (!layer || !layer->mean || !layer->std) {
        qn_context_fail(
            ctx, QN_INVALID_ARGUMENT,
            "rev_in: restore needs a rev_in module that has normalised a series, got %s",
            qn_module_kind(module));
        return NULL;
    }
    qn_tensor *scale = qn_div(rows(layer, layer->std), qn_affine(layer->weight, 1, weight_epsilon));
    return qn_add(qn_mul(qn_sub(y, layer->bias), scale), rows(layer, layer->mean));
}

qn_module *qn_nn_rev_in(qn_context *ctx, int64_t channels) {
    if (channels < 1) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "rev_in: channels must be at least 1, got %lld",
                        (long long)channels);
        return NULL;
    }
    rev_in *layer = calloc(1, sizeof(*layer));
    if (!layer) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "rev_in: out of memory");
        return NULL;
    }
    qn_module *module =
        qn_module_tidy(qn_module_new(ctx, "rev_in", rev_in_forward, layer, rev_in_destroy));
    return qni_layer_add_scale(module, QN_SHAPE(channels), &layer->weight, &layer->bias);
}
