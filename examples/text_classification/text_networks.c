/* text_networks.c: the networks, for the example and the benchmark alike. */
#include "text_networks.h"

#include <stdlib.h>
#include <string.h>

#define PADDING QN_TOKEN_PADDING

/* "cnn": windows of 3, 4 and 5 tokens, with so many features each, and the norm that the weights of
 * a class are held to (Kim 2014). */
enum { SHORTEST_WINDOW = 3, WINDOWS = 3, FEATURES = 100 };
#define MAX_NORM 3

/* "lstm": state of each direction. */
#define HIDDEN 128

/* "transformer". */
enum { LAYERS = 2, HEADS = 4 };

/** The parts of a network; each has those that it needs. */
typedef struct parts {
    qn_module *embedding, *words, *positions, *dropout, *output; /* words: their dropout */
    qn_module *layers[WINDOWS];
} parts;

/** A network without parts. */
static qn_module *network_new(qn_context *ctx, const char *kind, qn_forward_fn forward) {
    parts *empty = calloc(1, sizeof(*empty));
    if (!empty) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for its parts", kind);
        return NULL;
    }
    return qn_module_tidy(qn_module_new(ctx, kind, forward, empty, free));
}

/** Adds the embedding, with rows uniform within +-amount. Zero is the row of the padding, and of
 * unknown words: where every word of the training texts is known it stays as it starts, and says
 * nothing. */
static qn_module *add_embedding(qn_module *net, qn_module *embedding, double amount) {
    qn_tensor *weight = qn_module_find(qn_module_add_child(net, "embedding", embedding), "weight");
    qn_init_uniform(weight, -amount, amount);
    qn_fill(qn_slice(weight, 0, PADDING, QN_TOKEN_FIRST_WORD), 0);
    return embedding;
}

/* ---- cnn ----------------------------------------------------------------------------------- */

static qn_tensor *cnn_forward(qn_module *self, qn_tensor *x) {
    const parts *p = qn_module_data(self);
    qn_tensor *lengths = qn_sequence_lengths(x, PADDING), *features[WINDOWS];
    qn_tensor *words = qn_forward(p->words, qn_forward(p->embedding, x));
    qn_tensor *embedded = qn_transpose(words, 1, 2);
    for (int i = 0; i < WINDOWS; i++)
        features[i] =
            qn_conv1d_max(embedded, qn_module_find(p->layers[i], "weight"),
                          qn_module_find(p->layers[i], "bias"), lengths, SHORTEST_WINDOW + i - 1);
    /* The maximum of the rectified is the rectified maximum. */
    qn_tensor *all = qn_relu(qn_concat(features, WINDOWS, 1));
    return qn_forward(p->output, qn_forward(p->dropout, all));
}

/** Kim 2014, "CNN-rand". */
static qn_module *cnn(qn_context *ctx, const text_sizes *sizes) {
    qn_module *net = network_new(ctx, "cnn", cnn_forward);
    if (!net)
        return NULL;
    parts *p = qn_module_data(net);
    const qn_embedding_opts padding = {.padding = true};
    p->embedding =
        add_embedding(net, qn_nn_embedding(ctx, sizes->tokens, sizes->width, &padding), 0.25);
    p->words = qn_module_add_child(net, "words", qn_nn_dropout(ctx, sizes->word_dropout));
    for (int i = 0; i < WINDOWS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "window%d", SHORTEST_WINDOW + i);
        p->layers[i] = qn_module_add_child(
            net, name, qn_nn_conv1d(ctx, sizes->width, FEATURES, SHORTEST_WINDOW + i, NULL));
    }
    p->dropout = qn_module_add_child(net, "dropout", qn_nn_dropout(ctx, 0.5));
    p->output = qn_module_add_child(net, "output",
                                    qn_nn_linear(ctx, WINDOWS * FEATURES, sizes->classes, NULL));
    qn_module_limit_norm(net, "output.weight", MAX_NORM);
    return net;
}

/* ---- fasttext ------------------------------------------------------------------------------ */

static qn_tensor *fasttext_forward(qn_module *self, qn_tensor *x) {
    const parts *p = qn_module_data(self);
    return qn_forward(p->output, qn_forward(p->embedding, x));
}

/** Joulin et al. 2017: the mean of the embeddings of words and n-grams. Of its many rows a step
 * uses few, so gradient and update are sparse. */
static qn_module *fasttext(qn_context *ctx, const text_sizes *sizes) {
    qn_module *net = network_new(ctx, "fasttext", fasttext_forward);
    if (!net)
        return NULL;
    parts *p = qn_module_data(net);
    const qn_embedding_opts opts = {.padding = true, .sparse = true};
    p->embedding = add_embedding(
        net, qn_nn_embedding_bag(ctx, sizes->tokens, sizes->width, QN_BAG_MEAN, &opts), 0.01);
    p->output =
        qn_module_add_child(net, "output", qn_nn_linear(ctx, sizes->width, sizes->classes, NULL));
    return net;
}

/* ---- lstm ---------------------------------------------------------------------------------- */

static qn_tensor *lstm_forward(qn_module *self, qn_tensor *x) {
    const parts *p = qn_module_data(self);
    qn_tensor *lengths = qn_sequence_lengths(x, PADDING);
    qn_tensor *embedded = qn_forward(p->dropout, qn_forward(p->embedding, x));
    qn_tensor *states = qn_nn_recurrent_forward(p->layers[0], embedded, lengths, NULL).y;
    qn_tensor *mean = qn_sequence_mean(states, lengths);
    return qn_forward(p->output, qn_forward(p->dropout, mean));
}

/** A bidirectional LSTM; the mean of its states over the text. */
static qn_module *lstm(qn_context *ctx, const text_sizes *sizes) {
    qn_module *net = network_new(ctx, "lstm", lstm_forward);
    if (!net)
        return NULL;
    parts *p = qn_module_data(net);
    const qn_embedding_opts padding = {.padding = true};
    const qn_nn_recurrent_opts both = {.bidirectional = true};
    p->embedding = qn_module_add_child(net, "embedding",
                                       qn_nn_embedding(ctx, sizes->tokens, sizes->width, &padding));
    p->layers[0] = qn_module_add_child(net, "lstm", qn_nn_lstm(ctx, sizes->width, HIDDEN, &both));
    p->dropout = qn_module_add_child(net, "dropout", qn_nn_dropout(ctx, 0.5));
    p->output =
        qn_module_add_child(net, "output", qn_nn_linear(ctx, 2 * HIDDEN, sizes->classes, NULL));
    return net;
}

/* ---- transformer --------------------------------------------------------------------------- */

static qn_tensor *transformer_forward(qn_module *self, qn_tensor *x) {
    const parts *p = qn_module_data(self);
    qn_tensor *lengths = qn_sequence_lengths(x, PADDING);
    qn_tensor *padding = qn_full(qn_tensor_context(x), QN_I64, QN_SHAPE(1, 1), PADDING);
    qn_tensor *mask = qn_not_equal(x, padding);
    qn_tensor *y = qn_forward(p->positions, qn_forward(p->embedding, x));
    y = qn_forward(p->dropout, y);
    for (int i = 0; i < LAYERS; i++)
        y = qn_nn_transformer_forward(p->layers[i], y, mask);
    return qn_forward(p->output, qn_forward(p->dropout, qn_sequence_mean(y, lengths)));
}

/** A small encoder (Vaswani et al. 2017) with trained positions; the mean of its outputs over the
 * text.
 */
static qn_module *transformer(qn_context *ctx, const text_sizes *sizes) {
    qn_module *net = network_new(ctx, "transformer", transformer_forward);
    if (!net)
        return NULL;
    parts *p = qn_module_data(net);
    const qn_embedding_opts padding = {.padding = true};
    const qn_nn_transformer_opts opts = {.dropout = 0.1};
    p->embedding =
        add_embedding(net, qn_nn_embedding(ctx, sizes->tokens, sizes->width, &padding), 0.17);
    p->positions = qn_module_add_child(
        net, "positions", qn_nn_positional_encoding(ctx, sizes->max_length, sizes->width, true));
    for (int i = 0; i < LAYERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "layer%d", i + 1);
        p->layers[i] = qn_module_add_child(
            net, name, qn_nn_transformer_encoder_layer(ctx, sizes->width, HEADS, &opts));
    }
    p->dropout = qn_module_add_child(net, "dropout", qn_nn_dropout(ctx, 0.1));
    p->output =
        qn_module_add_child(net, "output", qn_nn_linear(ctx, sizes->width, sizes->classes, NULL));
    return net;
}

qn_module *text_network(qn_context *ctx, const char *model, const text_sizes *sizes) {
    if (strcmp(model, "cnn") == 0)
        return cnn(ctx, sizes);
    if (strcmp(model, "fasttext") == 0)
        return fasttext(ctx, sizes);
    return strcmp(model, "lstm") == 0 ? lstm(ctx, sizes) : transformer(ctx, sizes);
}
