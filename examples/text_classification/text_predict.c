/* text_predict.c: class probabilities of lines of text, as Amazon Comprehend writes them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text_classification.h"

/** Lines that go through the network at once. */
enum { BATCH = 64 };

/** Tokens of a line where the model has no limit. */
#define MOST_TOKENS (1 << 20)

/** What is needed for one file after the other. */
typedef struct predictor {
    qn_context *ctx;
    text_model model;
    int64_t *ids[BATCH]; /* token numbers of the lines that wait */
    int64_t lengths[BATCH];
    int waiting;
    const char *name;   /* of the file */
    long long line;     /* number of the first line that waits */
    int *order;         /* room for each class */
    float *probability; /* room for each class of a batch */
} predictor;

/* ---- printing ------------------------------------------------------------------------------ */

static const float *sort_key;

/** By falling probability; equal ones stay in order. */
static int by_probability(const void *a, const void *b) {
    const int i = *(const int *)a, j = *(const int *)b;
    return sort_key[i] > sort_key[j] ? -1 : sort_key[i] < sort_key[j] ? 1 : i - j;
}

static void print_line(const predictor *p, long long line, const float *probability) {
    const int classes = (int)p->model.classes;
    for (int i = 0; i < classes; i++)
        p->order[i] = i;
    sort_key = probability;
    qsort(p->order, (size_t)classes, sizeof(*p->order), by_probability);
    fputs("{\"File\": ", stdout);
    example_json_text(stdout, p->name);
    printf(", \"Line\": \"%lld\", \"%s\": [", line, p->model.several ? "Labels" : "Classes");
    for (int i = 0; i < classes; i++) {
        fputs(i ? ", {\"Name\": " : "{\"Name\": ", stdout);
        example_json_text(stdout, p->model.class_names[p->order[i]]);
        char score[32];
        printf(", \"Score\": %s}", example_float_text(probability[p->order[i]], score));
    }
    puts("]}");
}

/* ---- a batch ------------------------------------------------------------------------------- */

/** Token numbers of the lines that wait, padded to the longest. */
static qn_tensor *batch_tensor(const predictor *p) {
    int64_t longest = 1;
    for (int i = 0; i < p->waiting; i++)
        longest = p->lengths[i] > longest ? p->lengths[i] : longest;
    int64_t *x = calloc((size_t)p->waiting * (size_t)longest, sizeof(*x));
    if (!x) {
        qn_context_fail(p->ctx, QN_OUT_OF_MEMORY, "out of memory for lines of %lld tokens",
                        (long long)longest);
        return NULL;
    }
    for (int i = 0; i < p->waiting; i++)
        memcpy(x + i * longest, p->ids[i], (size_t)p->lengths[i] * sizeof(*x));
    qn_tensor *tensor = qn_from_data(p->ctx, QN_I64, QN_SHAPE(p->waiting, longest), x);
    free(x);
    return tensor;
}

/** Whether the model gave numbers for a line. */
static bool all_finite(const predictor *p, const float *probability) {
    for (int64_t i = 0; i < p->model.classes; i++)
        if (!isfinite(probability[i]))
            return false;
    return true;
}

/** Prints line number `i` of those that wait. */
static int show_line(const predictor *p, int i) {
    const float *probability = p->probability + i * p->model.classes;
    if (!all_finite(p, probability))
        return example_error("%s: line %lld: the model gives no finite numbers", p->name,
                             p->line + i);
    print_line(p, p->line + i, probability);
    return EXAMPLE_OK;
}

/** Classifies the lines that wait. */
static int flush_lines(predictor *p) {
    if (p->waiting <= 0)
        return EXAMPLE_OK;
    const size_t size = (size_t)(p->waiting * p->model.classes) * sizeof(float);
    qn_tensor *logits = qn_forward(p->model.net, batch_tensor(p));
    qn_tensor_read(p->model.several ? qn_sigmoid(logits) : qn_softmax(logits, 1), p->probability,
                   size);
    qn_step_end(p->ctx);
    int code = example_status(p->ctx);
    for (int i = 0; i < p->waiting; i++) {
        if (code == EXAMPLE_OK)
            code = show_line(p, i);
        free(p->ids[i]);
    }
    p->line += p->waiting;
    p->waiting = 0;
    return code;
}

/** Adds a line to those that wait. */
static int add_line(predictor *p, const char *text) {
    const int64_t limit = p->model.max_length ? p->model.max_length : MOST_TOKENS;
    int64_t count = qn_vocabulary_encode(p->model.vocabulary, text, NULL, 0);
    count = count < limit ? count : limit;
    int64_t *ids = count > 0 ? malloc((size_t)count * sizeof(*ids)) : NULL;
    if (!ids || qn_vocabulary_encode(p->model.vocabulary, text, ids, count) < 0) {
        free(ids);
        qn_context_fail(p->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for line %lld", p->name,
                        p->line + p->waiting);
        return example_status(p->ctx);
    }
    p->ids[p->waiting] = ids;
    p->lengths[p->waiting++] = count;
    return p->waiting == BATCH ? flush_lines(p) : EXAMPLE_OK;
}

/* ---- files --------------------------------------------------------------------------------- */

/** Classifies the lines of a file; "-" is standard input. */
static int predict_file(predictor *p, const char *path) {
    qn_text_lines *lines = qn_text_lines_open(p->ctx, path);
    int code = EXAMPLE_OK;
    p->name = path;
    p->line = 0;
    for (const char *text;
         code == EXAMPLE_OK && !ferror(stdout) && (text = qn_text_lines_next(lines));)
        code = add_line(p, text);
    if (code == EXAMPLE_OK)
        code = example_status(p->ctx);
    qn_text_lines_free(lines);
    if (code == EXAMPLE_OK)
        return flush_lines(p);
    while (p->waiting)
        free(p->ids[--p->waiting]);
    return code;
}

static int predict_files(const example_options *options, predictor *p) {
    const size_t classes = (size_t)p->model.classes;
    int code = EXAMPLE_OK;
    p->order = malloc(classes * sizeof(*p->order));
    p->probability = malloc(BATCH * classes * sizeof(*p->probability));
    if (!p->order || !p->probability) {
        example_error("out of memory for %zu classes", classes);
        return EXAMPLE_FAILED;
    }
    qn_module_train(p->model.net, false);
    qn_context_set_grad(p->ctx, false);
    for (int i = 0; i < options->input_count && code == EXAMPLE_OK && !ferror(stdout); i++)
        code = predict_file(p, options->inputs[i]);
    return options->input_count ? code : predict_file(p, "-");
}

int text_predict(const example_options *options, qn_context *ctx) {
    predictor p = {.ctx = ctx};
    int code = text_model_load(ctx, options->load ? options->load : TEXT_DEFAULT_MODEL, &p.model);
    if (code == EXAMPLE_OK)
        code = predict_files(options, &p);
    text_model_free(&p.model);
    free(p.order);
    free(p.probability);
    return code;
}
