/* nn_pool.c: the pooling layers. */
#include "nn_layer.h"

typedef struct pool {
    qn_pool2d_opts opts;
} pool;

typedef struct adaptive_pool {
    int height, width;
} adaptive_pool;

static qn_tensor *max_pool_forward(qn_module *self, qn_tensor *x) {
    const pool *layer = qn_module_data(self);
    return qn_max_pool2d(x, &layer->opts);
}

static qn_tensor *avg_pool_forward(qn_module *self, qn_tensor *x) {
    const pool *layer = qn_module_data(self);
    return qn_avg_pool2d(x, &layer->opts);
}

static qn_tensor *adaptive_avg_pool_forward(qn_module *self, qn_tensor *x) {
    const adaptive_pool *layer = qn_module_data(self);
    return qn_adaptive_avg_pool2d(x, layer->height, layer->width);
}

static qn_module *new_pool(qn_context *ctx, const char *kind, qn_forward_fn forward, int kernel,
                           const qn_pool2d_opts *opts) {
    pool data = {0};
    if (opts)
        data.opts = *opts;
    if (data.opts.kernel[0] == 0)
        data.opts.kernel[0] = kernel;
    if (data.opts.kernel[0] < 1) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: kernel must be at least 1, got %d", kind,
                        data.opts.kernel[0]);
        return NULL;
    }
    return qni_layer_new(ctx, kind, forward, &data, sizeof(data));
}

qn_module *qn_nn_max_pool2d(qn_context *ctx, int kernel, const qn_pool2d_opts *opts) {
    return new_pool(ctx, "max_pool2d", max_pool_forward, kernel, opts);
}

qn_module *qn_nn_avg_pool2d(qn_context *ctx, int kernel, const qn_pool2d_opts *opts) {
    return new_pool(ctx, "avg_pool2d", avg_pool_forward, kernel, opts);
}

qn_module *qn_nn_adaptive_avg_pool2d(qn_context *ctx, int height, int width) {
    if (height < 1 || width < 1) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "adaptive_avg_pool2d: height and width must be at least 1, got %d and %d",
                        height, width);
        return NULL;
    }
    adaptive_pool data = {.height = height, .width = width};
    return qni_layer_new(ctx, "adaptive_avg_pool2d", adaptive_avg_pool_forward, &data,
                         sizeof(data));
}
