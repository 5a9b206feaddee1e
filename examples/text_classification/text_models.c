/* text_models.c: how each network is trained, and networks with their vocabulary and classes. */
#include <stdlib.h>
#include <string.h>

#include "text_classification.h"

/** Names of the buffers that travel in a model's file. */
#define VOCABULARY "vocabulary"
#define CLASS_NAMES "class_names"

/** Limits of what a model's file may say. */
enum { MOST_WIDTH = 1 << 16, MOST_LENGTH = 1 << 20 };

enum { MOST_OPTIMIZERS = 16 };

const char *const text_models[] = {"cnn", "fasttext", "lstm", "transformer", NULL};

const char *const *text_optimizers(void) {
    static const char *names[MOST_OPTIMIZERS + 1];
    const qn_optimizer_kind *kind;
    for (int i = 0; i < MOST_OPTIMIZERS && (kind = qn_optimizer_kind_at(i)); i++)
        names[i] = kind->name;
    return names;
}

static const text_recipe recipes[] = {
    {"cnn", "adam", 6, 50, 1e-3, 300, 512, 2, 1},
    {"fasttext", "adam", 4, 32, 1e-2, 100, 0, 1, 2},
    {"lstm", "adam", 8, 32, 2e-3, 128, 512, 1, 1},
    {"transformer", "adam", 10, 32, 5e-4, 128, 256, 1, 1},
};

text_recipe text_recipe_of(const example_options *options) {
    const text_recipe *found = recipes;
    while (strcmp(found->model, options->model) != 0)
        found++;
    text_recipe r = *found;
    const double *number = options->number;
    if (options->own[TEXT_OPTIMIZER] && strcmp(options->own[TEXT_OPTIMIZER], r.optimizer) != 0) {
        r.optimizer = options->own[TEXT_OPTIMIZER];
        r.lr = qn_optimizer_find(r.optimizer)->lr;
    }
    if (options->epochs)
        r.epochs = options->epochs;
    if (options->batch_size)
        r.batch_size = options->batch_size;
    if (options->lr > 0)
        r.lr = options->lr;
    if (number[TEXT_WIDTH] > 0)
        r.width = (int64_t)number[TEXT_WIDTH];
    if (options->own[TEXT_MAX_LENGTH])
        r.max_length = (int64_t)number[TEXT_MAX_LENGTH];
    if (number[TEXT_MIN_COUNT] > 0)
        r.min_count = (int)number[TEXT_MIN_COUNT];
    if (number[TEXT_NGRAMS] > 0)
        r.ngrams = (int)number[TEXT_NGRAMS];
    return r;
}

static qn_optimizer_spec optimizer_of(const text_recipe *recipe) {
    qn_optimizer_spec spec = qn_optimizer_defaults(qn_optimizer_find(recipe->optimizer));
    spec.lr = recipe->lr;
    if (spec.rho > 0)
        spec.rho = 0.95; /* Adadelta as Kim 2014 has it */
    return spec;
}

qn_fit_opts text_fit_opts(const text_model *model, const text_recipe *recipe) {
    return (qn_fit_opts){.optimizer = optimizer_of(recipe),
                         .schedule = qn_schedule_cosine(0),
                         .loss = model->several ? qn_bce_with_logits : qn_cross_entropy,
                         .epochs = recipe->epochs,
                         .batch_size = recipe->batch_size};
}

void text_model_settings(const text_model *model, const text_recipe *recipe, const char *data,
                         text_settings *out) {
    snprintf(out->width, sizeof(out->width), "%lld", (long long)recipe->width);
    snprintf(out->max_length, sizeof(out->max_length), "%lld", (long long)recipe->max_length);
    out->list[0] = (qn_metadata){"model", recipe->model};
    out->list[1] = (qn_metadata){"width", out->width};
    out->list[2] = (qn_metadata){"max_length", out->max_length};
    out->list[3] = (qn_metadata){"labels", model->several ? "several" : "one"};
    out->list[4] = (qn_metadata){"delimiter", model->delimiter};
    out->list[5] = (qn_metadata){"data", data};
}

/* ---- classes ------------------------------------------------------------------------------- */

/** Points class_names at the `count` names that lie one behind the other in `names`. */
static bool index_names(text_model *model, int64_t count) {
    const char *next = model->names;
    model->class_names = malloc((size_t)count * sizeof(*model->class_names));
    for (int64_t i = 0; model->class_names && i < count; i++, next += strlen(next) + 1)
        model->class_names[i] = next;
    model->classes = count;
    return model->class_names;
}

int text_model_classes(const qn_corpus *corpus, text_model *model, size_t *size) {
    const int64_t count = qn_corpus_classes(corpus);
    *model = (text_model){.several = qn_corpus_multi_label(corpus)};
    *size = 0;
    for (int64_t i = 0; i < count; i++)
        *size += strlen(qn_corpus_class(corpus, i)) + 1;
    char *next = model->names = malloc(*size);
    for (int64_t i = 0; next && i < count; i++)
        next = stpcpy(next, qn_corpus_class(corpus, i)) + 1;
    if (next && index_names(model, count))
        return EXAMPLE_OK;
    example_error("out of memory for the names of %lld classes", (long long)count);
    return EXAMPLE_FAILED;
}

/* ---- new models ---------------------------------------------------------------------------- */

/** Makes the network for a vocabulary and classes, with both as buffers. */
static void make_network(qn_context *ctx, const char *name, int64_t width, double word_dropout,
                         qn_tensor *vocabulary, qn_tensor *names, text_model *model) {
    const text_sizes sizes = {.tokens = qn_vocabulary_size(model->vocabulary),
                              .width = width,
                              .word_dropout = word_dropout,
                              .classes = model->classes,
                              .max_length = model->max_length};
    model->net = text_network(ctx, name, &sizes);
    qn_module_add_buffer(model->net, VOCABULARY, vocabulary);
    qn_module_add_buffer(model->net, CLASS_NAMES, names);
    qn_step_end(ctx);
}

static void read_vectors(const example_options *options, const text_model *model) {
    const char *path = options->own[TEXT_VECTORS];
    char place[4096];
    int64_t found;
    if (qn_vectors_read(qn_module_find(model->net, "embedding.weight"), model->vocabulary,
                        example_data_path(path, place, sizeof(place)), &found) == QN_OK &&
        !options->quiet)
        fprintf(stderr, "vectors of %lld of %lld words from %s\n", (long long)found,
                (long long)qn_vocabulary_words(model->vocabulary), path);
}

int text_model_new(const example_options *options, const text_recipe *recipe, qn_corpus *train,
                   qn_context *ctx, text_model *out) {
    size_t size;
    int code = text_model_classes(train, out, &size);
    if (code != EXAMPLE_OK)
        return code;
    out->max_length = recipe->max_length;
    if (options->own[TEXT_DELIMITER])
        snprintf(out->delimiter, sizeof(out->delimiter), "%s", options->own[TEXT_DELIMITER]);
    const qn_vocabulary_opts opts = {
        .tokenizer = {.keep_case = options->own[TEXT_KEEP_CASE],
                      .ngrams = recipe->ngrams,
                      .buckets = (int64_t)options->number[TEXT_BUCKETS]},
        .min_count = recipe->min_count};
    out->vocabulary = qn_vocabulary_new(train, &opts);
    make_network(ctx, recipe->model, recipe->width, options->number[TEXT_WORD_DROPOUT],
                 qn_vocabulary_pack(ctx, out->vocabulary),
                 qn_from_data(ctx, QN_U8, QN_SHAPE((int64_t)size), out->names), out);
    if (options->own[TEXT_VECTORS])
        read_vectors(options, out);
    if (options->load)
        qn_load(out->net, options->load);
    return example_status(ctx);
}

void text_model_free(text_model *model) {
    qn_module_free(model->net);
    qn_vocabulary_free(model->vocabulary);
    free(model->names);
    free(model->class_names);
    *model = (text_model){0};
}

/* ---- saved models -------------------------------------------------------------------------- */

/** A whole number from 0 to `most` in a model's metadata; -1 where there is none. */
static int64_t metadata_number(const qn_tensor_file *file, const char *key, long most) {
    const char *text = qn_tensor_file_metadata(file, key);
    char *end;
    long value = text ? strtol(text, &end, 10) : 0;
    return text && *text && *end == '\0' && value >= 0 && value <= most ? value : -1;
}

static bool is_model(const char *name) {
    for (const char *const *model = text_models; *model; model++)
        if (name && strcmp(*model, name) == 0)
            return true;
    return false;
}

/** A u8 [n] entry of a file as a tensor; NULL where there is none. */
static qn_tensor *read_bytes(qn_context *ctx, qn_tensor_file *file, const char *name) {
    qn_tensor_entry entry = {.name = ""};
    for (int i = 0; entry.name && strcmp(entry.name, name) != 0; i++)
        entry = qn_tensor_file_entry(file, i);
    if (!entry.name || entry.dtype != QN_U8 || entry.shape.rank != 1 || entry.shape.dim[0] == 0)
        return NULL;
    qn_tensor *bytes = qn_empty(ctx, QN_U8, entry.shape);
    return qn_tensor_file_read(file, name, bytes) == QN_OK ? bytes : NULL;
}

/** Takes the class names out of their tensor. False when they are not what text_model_new() makes,
 * or with the context's error. */
static bool unpack_classes(qn_tensor *bytes, text_model *model) {
    const size_t size = (size_t)qn_tensor_count(bytes);
    int64_t count = 0;
    model->names = malloc(size);
    if (model->names &&
        (qn_tensor_read(bytes, model->names, size) != QN_OK || model->names[size - 1]))
        return false;
    for (size_t i = 0; model->names && i < size; i++)
        count += !model->names[i];
    if (model->names && index_names(model, count))
        return true;
    qn_context_fail(qn_tensor_context(bytes), QN_OUT_OF_MEMORY,
                    "out of memory for the names of the classes");
    return false;
}

/** Makes a model as a file describes it. False when it does not. */
static bool rebuild(qn_context *ctx, qn_tensor_file *file, text_model *out) {
    const char *name = qn_tensor_file_metadata(file, "model");
    const char *labels = qn_tensor_file_metadata(file, "labels");
    const char *delimiter = qn_tensor_file_metadata(file, "delimiter");
    const int64_t width = metadata_number(file, "width", MOST_WIDTH);
    qn_tensor *vocabulary = read_bytes(ctx, file, VOCABULARY);
    qn_tensor *names = read_bytes(ctx, file, CLASS_NAMES);
    out->max_length = metadata_number(file, "max_length", MOST_LENGTH);
    if (!is_model(name) || !labels || width < 1 || out->max_length < 0 || !vocabulary || !names ||
        !unpack_classes(names, out))
        return false;
    out->several = strcmp(labels, "several") == 0;
    snprintf(out->delimiter, sizeof(out->delimiter), "%s", delimiter ? delimiter : "");
    out->vocabulary = qn_vocabulary_unpack(vocabulary);
    if (out->vocabulary)
        make_network(ctx, name, width, 0, vocabulary, names, out);
    return true;
}

int text_model_load(qn_context *ctx, const char *path, text_model *out) {
    *out = (text_model){0};
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    if (!file)
        return example_status(ctx);
    const bool known = rebuild(ctx, file, out);
    qn_tensor_file_free(file);
    if (qn_context_error(ctx, NULL) == QN_OK && !known)
        return example_error("'%s' was not saved by 'text_classification train'", path);
    qn_load(out->net, path);
    return example_status(ctx);
}
