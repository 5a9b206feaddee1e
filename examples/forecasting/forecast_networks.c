/* forecast_networks.c: the networks that forecast all steps at once, for the example and the
 * benchmark alike. */
#include "forecast_networks.h"

#include <stdlib.h>
#include <string.h>

#include "forecast_deepar.h"

/* "dlinear": window of the trend. */
#define TREND 25

/* "lstm": layers and state. */
enum { LSTM_LAYERS = 2, LSTM_HIDDEN = 128 };

/* "tcn": filters, their length, and blocks at most; dilations double from block to block. */
enum { TCN_WIDTH = 32, TCN_KERNEL = 3, TCN_BLOCKS = 8 };

/* "patchtst": PatchTST/42 of the paper for the small ETT sets. */
enum { PATCH = 16, STRIDE = 8, WIDTH = 16, HEADS = 4, LAYERS = 3, FEED_FORWARD = 128 };

/** The parts of a network; each has those that it needs. */
typedef struct parts {
    forecast_sizes sizes;
    qn_module *linear[2]; /* from look-back or state to horizon */
    qn_module *recurrent, *norm, *embedding, *positions, *dropout;
    qn_module *blocks[3 * TCN_BLOCKS]; /* convolutions, or encoder layers */
    int block_count;
} parts;

/** A network without parts. */
static qn_module *network_new(qn_context *ctx, const char *kind, qn_forward_fn forward,
                              const forecast_sizes *sizes) {
    parts *empty = calloc(1, sizeof(*empty));
    if (!empty) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for its parts", kind);
        return NULL;
    }
    empty->sizes = *sizes;
    return qn_module_tidy(qn_module_new(ctx, kind, forward, empty, free));
}

/** [n, t, channels] -> [n, channels, t], in one piece, as the products along time like it. */
static qn_tensor *time_last(qn_tensor *x) { return qn_contiguous(qn_transpose(x, 1, 2)); }

/** The last step of [n, t, channels]: [n, 1, channels]. */
static qn_tensor *last_step(qn_tensor *x) { return qn_slice(x, 1, -1, qn_tensor_dim(x, 1)); }

static qn_module *add_linear(qn_module *net, const char *name, int64_t in, int64_t out) {
    return qn_module_add_child(net, name, qn_nn_linear(qn_module_context(net), in, out, NULL));
}

/* ---- linear models ------------------------------------------------------------------------- */

static qn_tensor *dlinear_forward(qn_module *self, qn_tensor *x) {
    const parts *p = qn_module_data(self);
    qn_tensor *u = time_last(x), *trend = qn_moving_average(u, 2, TREND);
    qn_tensor *y =
        qn_add(qn_forward(p->linear[0], qn_sub(u, trend)), qn_forward(p->linear[1], trend));
    return qn_transpose(y, 1, 2);
}

/** Zeng et al. 2023: trend and rest, each with one linear layer that all channels share. */
static qn_module *dlinear(qn_context *ctx, const forecast_sizes *sizes) {
    qn_module *net = network_new(ctx, "dlinear", dlinear_forward, sizes);
    if (!net)
        return NULL;
    parts *p = qn_module_data(net);
    p->linear[0] = add_linear(net, "seasonal", sizes->look_back, sizes->horizon);
    p->linear[1] = add_linear(net, "trend", sizes->look_back, sizes->horizon);
    return net;
}

static qn_tensor *nlinear_forward(qn_module *self, qn_tensor *x) {
    const parts *p = qn_module_data(self);
    qn_tensor *last = last_step(x);
    qn_tensor *y = qn_forward(p->linear[0], time_last(qn_sub(x, last)));
    return qn_add(qn_transpose(y, 1, 2), last);
}

/** Zeng et al. 2023: one linear layer on the distance to the last value. */
static qn_module *nlinear(qn_context *ctx, const forecast_sizes *sizes) {
    qn_module *net = network_new(ctx, "nlinear", nlinear_forward, sizes);
    if (!net)
        return NULL;
    parts *p = qn_module_data(net);
    p->linear[0] = add_linear(net, "linear", sizes->look_back, sizes->horizon);
    return net;
}

/* ---- lstm ---------------------------------------------------------------------------------- */

/** All steps of all channels from one state [n, width], on top of the last values. */
static qn_tensor *from_state(const parts *p, qn_tensor *state, qn_tensor *last) {
    const forecast_sizes *s = &p->sizes;
    qn_tensor *y = qn_forward(p->linear[0], state);
    return qn_add(qn_reshape(y, QN_SHAPE(-1, s->horizon, s->channels)), last);
}

static qn_tensor *lstm_forward(qn_module *self, qn_tensor *x) {
    const parts *p = qn_module_data(self);
    qn_tensor *last = last_step(x);
    const qn_recurrent r = qn_nn_recurrent_forward(p->recurrent, qn_sub(x, last), NULL, NULL);
    qn_tensor *state = qn_squeeze(qn_slice(r.h, 0, LSTM_LAYERS - 1, LSTM_LAYERS), 0);
    return from_state(p, state, last);
}

/** An LSTM over the distances to the last values; a linear layer on its last state. */
static qn_module *lstm(qn_context *ctx, const forecast_sizes *sizes) {
    qn_module *net = network_new(ctx, "lstm", lstm_forward, sizes);
    if (!net)
        return NULL;
    parts *p = qn_module_data(net);
    const qn_nn_recurrent_opts opts = {.layers = LSTM_LAYERS, .dropout = 0.1};
    p->recurrent =
        qn_module_add_child(net, "lstm", qn_nn_lstm(ctx, sizes->channels, LSTM_HIDDEN, &opts));
    p->linear[0] = add_linear(net, "output", LSTM_HIDDEN, sizes->horizon * sizes->channels);
    return net;
}

/* ---- tcn ----------------------------------------------------------------------------------- */

/** A convolution that sees no later step: x [n, c, t] is padded at the front only. */
static qn_tensor *causal(qn_module *conv, qn_tensor *x, int64_t dilation) {
    const int64_t before[] = {0, 0, (TCN_KERNEL - 1) * dilation}, after[] = {0, 0, 0};
    return qn_forward(conv, qn_pad(x, before, after, 0));
}

static qn_tensor *tcn_forward(qn_module *self, qn_tensor *x) {
    const parts *p = qn_module_data(self);
    qn_tensor *last = last_step(x), *y = qn_transpose(qn_sub(x, last), 1, 2);
    for (int i = 0; i < p->block_count; i++) {
        qn_module *const *block = &p->blocks[3 * i];
        qn_tensor *inner = qn_relu(causal(block[0], y, (int64_t)1 << i));
        inner = qn_relu(causal(block[1], qn_forward(p->dropout, inner), (int64_t)1 << i));
        y = qn_relu(qn_add(qn_forward(p->dropout, inner), block[2] ? qn_forward(block[2], y) : y));
    }
    return from_state(p, qn_squeeze(qn_slice(y, 2, -1, qn_tensor_dim(y, 2)), 2), last);
}

static qn_module *add_conv(qn_module *net, const char *part, int block, int64_t in, int kernel,
                           int dilation) {
    char name[24];
    snprintf(name, sizeof(name), "block%d_%s", block + 1, part);
    const qn_conv1d_opts opts = {.dilation = dilation};
    return qn_module_add_child(net, name,
                               qn_nn_conv1d(qn_module_context(net), in, TCN_WIDTH, kernel, &opts));
}

/** Bai, Kolter and Koltun 2018: residual blocks of two dilated causal convolutions, as many as it
 * takes to see the whole look-back. (Without their weight normalisation.) */
static qn_module *tcn(qn_context *ctx, const forecast_sizes *sizes) {
    qn_module *net = network_new(ctx, "tcn", tcn_forward, sizes);
    if (!net)
        return NULL;
    parts *p = qn_module_data(net);
    int64_t seen = 1;
    for (int i = 0; i < TCN_BLOCKS && seen < sizes->look_back; i++) {
        const int64_t in = i ? TCN_WIDTH : sizes->channels;
        p->blocks[3 * i] = add_conv(net, "conv1", i, in, TCN_KERNEL, 1 << i);
        p->blocks[3 * i + 1] = add_conv(net, "conv2", i, TCN_WIDTH, TCN_KERNEL, 1 << i);
        if (in != TCN_WIDTH)
            p->blocks[3 * i + 2] = add_conv(net, "skip", i, in, 1, 1);
        seen += 2 * (TCN_KERNEL - 1) * ((int64_t)1 << i);
        p->block_count = i + 1;
    }
    p->dropout = qn_module_add_child(net, "dropout", qn_nn_dropout(ctx, 0.1));
    p->linear[0] = add_linear(net, "output", p->block_count ? TCN_WIDTH : sizes->channels,
                              sizes->horizon * sizes->channels);
    return net;
}

/* ---- patchtst ------------------------------------------------------------------------------ */

/** Patches of a look-back whose last value is repeated once a stride. */
static int64_t patch_count(const forecast_sizes *sizes) {
    return (sizes->look_back - PATCH) / STRIDE + 2;
}

static qn_tensor *patchtst_forward(qn_module *self, qn_tensor *x) {
    const parts *p = qn_module_data(self);
    const forecast_sizes *s = &p->sizes;
    const int64_t patches = patch_count(s), n = qn_tensor_dim(x, 0);
    qn_tensor *u = qn_transpose(qn_forward(p->norm, x), 1, 2);
    qn_tensor *end = qn_expand(qn_slice(u, 2, -1, s->look_back), QN_SHAPE(n, s->channels, STRIDE));
    u = qn_unfold(qn_concat((qn_tensor *[]){u, end}, 2, 2), 2, PATCH, STRIDE);
    u = qn_forward(p->embedding, qn_reshape(u, QN_SHAPE(n * s->channels, patches, PATCH)));
    u = qn_forward(p->dropout, qn_forward(p->positions, u));
    for (int i = 0; i < LAYERS; i++)
        u = qn_forward(p->blocks[i], u);
    u = qn_forward(p->linear[0], qn_reshape(u, QN_SHAPE(n, s->channels, patches * WIDTH)));
    return qn_nn_rev_in_restore(p->norm, qn_transpose(u, 1, 2));
}

/** Nie et al. 2023: each channel on its own as patches, through a transformer encoder with batch
 * norms, between reversible instance normalisation (Kim et al. 2022). */
static qn_module *patchtst(qn_context *ctx, const forecast_sizes *sizes) {
    if (sizes->look_back < PATCH) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "patchtst: a look-back of %lld is too short: %d",
                        (long long)sizes->look_back, PATCH);
        return NULL;
    }
    qn_module *net = network_new(ctx, "patchtst", patchtst_forward, sizes);
    if (!net)
        return NULL;
    parts *p = qn_module_data(net);
    const qn_nn_transformer_opts opts = {
        .feed_forward = FEED_FORWARD, .dropout = 0.3, .gelu = true, .batch_norm = true};
    const int64_t patches = patch_count(sizes);
    p->norm = qn_module_add_child(net, "norm", qn_nn_rev_in(ctx, sizes->channels));
    p->embedding = add_linear(net, "embedding", PATCH, WIDTH);
    p->positions =
        qn_module_add_child(net, "positions", qn_nn_positional_encoding(ctx, patches, WIDTH, true));
    qn_init_uniform(qn_module_find(p->positions, "encoding"), -0.02, 0.02);
    p->dropout = qn_module_add_child(net, "dropout", qn_nn_dropout(ctx, 0.3));
    for (int i = 0; i < LAYERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "layer%d", i + 1);
        p->blocks[i] = qn_module_add_child(
            net, name, qn_nn_transformer_encoder_layer(ctx, WIDTH, HEADS, &opts));
    }
    p->linear[0] = add_linear(net, "output", patches * WIDTH, sizes->horizon);
    return net;
}

/* ---- all ----------------------------------------------------------------------------------- */

qn_module *forecast_network(qn_context *ctx, const char *model, const forecast_sizes *sizes) {
    static const struct {
        const char *name;
        qn_module *(*make)(qn_context *ctx, const forecast_sizes *sizes);
    } networks[] = {{"dlinear", dlinear}, {"nlinear", nlinear},   {"lstm", lstm},
                    {"tcn", tcn},         {"patchtst", patchtst}, {"deepar", deepar}};
    for (size_t i = 0; i < sizeof(networks) / sizeof(*networks); i++)
        if (strcmp(networks[i].name, model) == 0)
            return networks[i].make(ctx, sizes);
    qn_context_fail(ctx, QN_INVALID_ARGUMENT, "no network '%s'", model);
    return NULL;
}
