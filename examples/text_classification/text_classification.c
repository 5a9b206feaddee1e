/* text_classification.c: trains text classifiers, tells how good they are, and uses them. */
#include "text_classification.h"

/** What the end of a training needs to measure the model. */
typedef struct finish {
    const text_model *model;
    const qn_corpus *test;
    qn_dataset *dataset;
    text_metrics metrics;
} finish;

/* ---- train --------------------------------------------------------------------------------- */

/** A table with a row a class: the report has one of its own where a text has one class. */
static void report_classes(qn_report *report, const finish *f) {
    static const char *const head[] = {"class", "texts", "precision %", "recall %", "F1 %"};
    enum { CELLS = sizeof(head) / sizeof(*head) };
    qn_report_section(report, "Classes");
    qn_report_table(report, CELLS, head);
    for (int64_t i = 0; i < f->metrics.classes; i++) {
        const text_counts *counts = &f->metrics.counts[i];
        char texts[24], number[3][16];
        double scores[3];
        text_scores(counts, scores);
        snprintf(texts, sizeof(texts), "%lld", (long long)(counts->hits + counts->misses));
        for (int j = 0; j < 3; j++)
            snprintf(number[j], sizeof(number[j]), "%.2f", 100 * scores[j]);
        const char *const cells[] = {f->model->class_names[i], texts, number[0], number[1],
                                     number[2]};
        qn_report_row(report, CELLS, cells);
    }
}

/** Adds the measures to log and report. */
static qn_status measure(qn_report *report, void *data) {
    finish *f = data;
    const qn_status status = text_metrics_add(&f->metrics, f->model, f->test, f->dataset, 0);
    if (status != QN_OK)
        return status;
    const text_summary s = text_metrics_summary(&f->metrics);
    qn_report_number(report, "test_accuracy", s.accuracy);
    qn_report_number(report, "macro_f1", s.macro_f1);
    qn_report_number(report, "micro_f1", s.micro_f1);
    qn_report_number(report, "hamming_loss", s.hamming_loss);
    if (f->model->several)
        report_classes(report, f);
    return qn_context_error(qn_dataset_context(f->dataset), NULL);
}

/** Trains a new model on the set's train part and measures it on the test part. */
static int fit(const example_options *options, qn_context *ctx, const text_set *set,
               const text_model *model, const text_recipe *recipe) {
    text_settings settings;
    char title[320];
    text_model_settings(model, recipe, set->name, &settings);
    snprintf(title, sizeof(title), "%s, %s", set->name, recipe->model);
    qn_dataset *train = qn_text_dataset(set->train, model->vocabulary, model->max_length);
    finish f = {.model = model,
                .test = set->test,
                .dataset = qn_text_dataset(set->test, model->vocabulary, model->max_length)};
    qn_fit_opts opts = text_fit_opts(model, recipe);
    opts.title = title;
    opts.settings = settings.list;
    opts.settings_count = TEXT_SETTINGS;
    opts.finish = measure;
    opts.finish_data = &f;
    int code = example_status(ctx);
    if (code == EXAMPLE_OK)
        code = text_metrics_new(model, &f.metrics);
    if (code == EXAMPLE_OK)
        code = example_fit(options, model->net, train, f.dataset, opts);
    if (code == EXAMPLE_OK) {
        putchar('\n');
        text_metrics_print(&f.metrics, model, false);
    }
    text_metrics_free(&f.metrics);
    return code;
}

static int train_model(const example_options *options, qn_context *ctx) {
    text_set set;
    text_model model;
    const text_recipe recipe = text_recipe_of(options);
    int code = text_set_open(options, ctx, &set);
    if (code != EXAMPLE_OK)
        return code;
    if (options->own[TEXT_FOLDS])
        return text_folds(options, ctx, &set);
    code = text_model_new(options, &recipe, set.train, ctx, &model);
    if (code == EXAMPLE_OK)
        code = fit(options, ctx, &set, &model, &recipe);
    text_model_free(&model);
    return code;
}

/* ---- evaluate ------------------------------------------------------------------------------ */

static void print_evaluation(const example_options *options, const text_metrics *metrics,
                             const text_model *model) {
    const text_summary s = text_metrics_summary(metrics);
    if (!options->json) {
        char loss[32];
        printf("test accuracy %.2f %%, test loss %s, %lld texts\n", 100 * s.accuracy,
               example_measure_text(s.loss, loss), (long long)metrics->texts);
        text_metrics_print(metrics, model, false);
        return;
    }
    fputs("{\"event\": \"evaluate\"", stdout);
    example_json_member(stdout, "test_accuracy", s.accuracy);
    example_json_member(stdout, "test_loss", s.loss);
    printf(", \"samples\": %lld", (long long)metrics->texts);
    text_metrics_print(metrics, model, true);
    puts("}");
}

/** Measures a model on a corpus. */
static int evaluate(const example_options *options, qn_context *ctx, const text_model *model,
                    const qn_corpus *test) {
    text_metrics metrics = {.texts = 0};
    qn_dataset *dataset = qn_text_dataset(test, model->vocabulary, model->max_length);
    int code = example_status(ctx);
    if (code == EXAMPLE_OK)
        code = text_metrics_new(model, &metrics);
    if (code == EXAMPLE_OK &&
        text_metrics_add(&metrics, model, test, dataset, options->batch_size) != QN_OK)
        code = example_status(ctx);
    if (code == EXAMPLE_OK)
        print_evaluation(options, &metrics, model);
    text_metrics_free(&metrics);
    return code;
}

static int evaluate_model(const example_options *options, qn_context *ctx) {
    text_model model;
    qn_corpus *test;
    int code = text_model_load(ctx, options->load ? options->load : TEXT_DEFAULT_MODEL, &model);
    if (code == EXAMPLE_OK)
        code = text_test_open(options, ctx, &model, &test);
    if (code == EXAMPLE_OK)
        code = evaluate(options, ctx, &model, test);
    text_model_free(&model);
    return code;
}

/* ---- the program --------------------------------------------------------------------------- */

#define TRAIN EXAMPLE_TRAIN
#define READ (EXAMPLE_TRAIN | EXAMPLE_EVALUATE)

int main(int argc, char **argv) {
    const example_program program = {
        .name = "text_classification",
        .summary =
            "Trains classifiers of texts, tells how good they are, and uses them."
            "\vModels: cnn (the default; Kim 2014), fasttext (words and n-grams; the quickest), "
            "lstm (bidirectional), transformer (a small encoder). Sets come as --train FILE "
            "--test FILE, or by --data: a folder with NAME.train and NAME.test or NAME.pos and "
            "NAME.neg, or FOLDER/NAME where it holds several. Without either the messages in the "
            "program's own data folder are used. Predict takes a text a line.",
        .inputs = "[FILE...]",
        .may_lack_inputs = true,
        .models = text_models,
        .own = {[TEXT_TRAIN] = {"train", "FILE", "texts to train on", TRAIN},
                [TEXT_TEST] = {"test", "FILE", "texts to test on", READ},
                [TEXT_HOLDOUT] = {"holdout", "X", "fraction of the texts kept to test on", TRAIN},
                [TEXT_FOLDS] = {"folds", "N", "cross-validation with so many parts", TRAIN},
                [TEXT_FORMAT] = {"format", "NAME", "csv, fasttext, trec or polarity", READ},
                [TEXT_DELIMITER] = {"delimiter", "TEXT", "between several labels in CSV", READ},
                [TEXT_LABEL_COLUMN] = {"label-column", "NAME", "of labels in CSV, or its number",
                                       READ},
                [TEXT_TEXT_COLUMN] = {"text-column", "NAME", "of texts in CSV, or its number",
                                      READ},
                [TEXT_VECTORS] = {"vectors", "FILE", "word vectors to start from", TRAIN},
                [TEXT_MIN_COUNT] = {"min-count", "N", "least occurrences of a word", TRAIN},
                [TEXT_NGRAMS] = {"ngrams", "N", "longest run of words with a number", TRAIN},
                [TEXT_BUCKETS] = {"buckets", "N", "numbers that the runs share", TRAIN},
                [TEXT_MAX_LENGTH] = {"max-length", "N", "tokens of a text, then it is cut", TRAIN},
                [TEXT_WIDTH] = {"width", "N", "of word vectors", TRAIN},
                [TEXT_OPTIMIZER] = {"optimizer", "NAME", "adam, adadelta or another", TRAIN},
                [TEXT_WORD_DROPOUT] = {"word-dropout", "X", "of embedded words, for cnn", TRAIN},
                [TEXT_KEEP_CASE] = {"keep-case", NULL, "tell capitals from others", TRAIN}},
        .rules = {[TEXT_HOLDOUT] = {EXAMPLE_REAL, 0.001, 0.999, NULL},
                  [TEXT_FOLDS] = {EXAMPLE_INTEGER, 2, 1000, NULL},
                  [TEXT_FORMAT] = {EXAMPLE_CHOICE, 0, 0, text_formats},
                  [TEXT_MIN_COUNT] = {EXAMPLE_INTEGER, 1, 1e6, NULL},
                  [TEXT_NGRAMS] = {EXAMPLE_INTEGER, 1, 8, NULL},
                  [TEXT_BUCKETS] = {EXAMPLE_INTEGER, 1, 1e8, NULL},
                  [TEXT_MAX_LENGTH] = {EXAMPLE_INTEGER, 1, 1 << 20, NULL},
                  [TEXT_WIDTH] = {EXAMPLE_INTEGER, 1, 1 << 16, NULL},
                  [TEXT_WORD_DROPOUT] = {EXAMPLE_REAL, 0, 0.9, NULL},
                  [TEXT_OPTIMIZER] = {EXAMPLE_CHOICE, 0, 0, text_optimizers()}},
        .train = train_model,
        .evaluate = evaluate_model,
        .predict = text_predict};
    return example_main(&program, argc, argv);
}
