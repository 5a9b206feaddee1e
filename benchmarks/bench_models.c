/* bench_models.c: the models that can be measured, with their data and losses. */
#include "bench_models.h"

#include <stdlib.h>
#include <string.h>

#include "forecast_networks.h"
#include "mnist_networks.h"
#include "text_networks.h"

/* Texts are cut to so many tokens; batches are padded to a multiple, as qn_fit() does. */
enum { MOST_TOKENS = 64, LENGTH_MULTIPLE = 8 };

/* Forecasts look so many steps back and ahead, as those of the ETT sets usually do (Zeng et al.
 * 2023). */
enum { LOOK_BACK = 336, HORIZON = 96 };

/* ---- images ------------------------------------------------------------------------------- */

static void make_mnist(qn_context *ctx, const bench_model *model, const char *data,
                       bench_task *task) {
    task->data = qn_mnist_open(ctx, data, QN_TRAIN);
    task->net = mnist_network(ctx, model->network, 28, 28, 10);
    task->loss = qn_cross_entropy;
}

/* ---- texts -------------------------------------------------------------------------------- */

static void make_text(qn_context *ctx, const bench_model *model, const char *data,
                      bench_task *task) {
    const bool pairs = strcmp(model->network, "fasttext") == 0;
    qn_corpus *corpus = qn_corpus_open(ctx, data, NULL);
    qn_vocabulary *vocabulary =
        qn_vocabulary_new(corpus, &(qn_vocabulary_opts){.tokenizer.ngrams = pairs ? 2 : 1,
                                                        .tokenizer.buckets = pairs ? 50000 : 0});
    const text_sizes sizes = {.tokens = qn_vocabulary_size(vocabulary),
                              .width = model->width,
                              .classes = qn_corpus_classes(corpus),
                              .max_length = MOST_TOKENS};
    task->data = qn_text_dataset(corpus, vocabulary, pairs ? 0 : MOST_TOKENS);
    task->net = task->data ? text_network(ctx, model->network, &sizes) : NULL;
    task->loss = qn_cross_entropy;
    task->length_multiple = LENGTH_MULTIPLE;
}

/* ---- series ------------------------------------------------------------------------------- */

static void make_series(qn_context *ctx, const bench_model *model, const char *data,
                        bench_task *task) {
    qn_series *series = qn_series_open(ctx, data, NULL);
    const qn_series_facts facts = qn_series_info(series);
    double *mean = calloc((size_t)facts.items + 1, sizeof(*mean));
    double *std = calloc((size_t)facts.items + 1, sizeof(*std));
    if (series && mean && std && qn_series_scale(series, 0, facts.steps, mean, std) == QN_OK)
        task->data = qn_windows(series, &(qn_windows_opts){.kind = QN_WINDOWS_JOINT,
                                                           .look_back = LOOK_BACK,
                                                           .horizon = HORIZON,
                                                           .mean = mean,
                                                           .std = std});
    if (!mean || !std)
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory");
    free(mean);
    free(std);
    task->net = task->data ? forecast_network(ctx, model->network,
                                              &(forecast_sizes){.look_back = LOOK_BACK,
                                                                .horizon = HORIZON,
                                                                .channels = facts.items})
                           : NULL;
    task->loss = qn_mse;
}

/* ---- all ---------------------------------------------------------------------------------- */

static const bench_model models[] = {
    {"mlp", "mlp", BENCH_IMAGES, 64, 0, make_mnist},
    {"lenet", "lenet", BENCH_IMAGES, 64, 0, make_mnist},
    {"cnn", "cnn", BENCH_IMAGES, 64, 0, make_mnist},
    {"text/cnn", "cnn", BENCH_TEXTS, 50, 300, make_text},
    {"text/lstm", "lstm", BENCH_TEXTS, 32, 128, make_text},
    {"text/transformer", "transformer", BENCH_TEXTS, 32, 128, make_text},
    {"text/fasttext", "fasttext", BENCH_TEXTS, 32, 100, make_text},
    {"forecast/dlinear", "dlinear", BENCH_SERIES, 32, 0, make_series},
    {"forecast/nlinear", "nlinear", BENCH_SERIES, 32, 0, make_series},
    {"forecast/lstm", "lstm", BENCH_SERIES, 32, 0, make_series},
    {"forecast/tcn", "tcn", BENCH_SERIES, 32, 0, make_series},
    {"forecast/patchtst", "patchtst", BENCH_SERIES, 128, 0, make_series},
};
enum { MODELS = sizeof(models) / sizeof(models[0]) };

const bench_model *bench_model_at(int index) { return index < MODELS ? &models[index] : NULL; }

const bench_model *bench_model_find(const char *name) {
    for (int i = 0; i < MODELS; i++)
        if (strcmp(models[i].name, name) == 0)
            return &models[i];
    return NULL;
}
