/* text_folds.c: cross-validation: each part of the texts is held out once.
 *
 * The checkpoint is a safetensors file with what the folds that ended came to; the
 * fold under way has one of its own beside it, "NAME.3". Between the two nothing is
 * lost, wherever a run is cut. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "text_classification.h"

#define PATH_SIZE 4096

/** What is remembered of a fold. */
typedef struct fold_record {
    double accuracy, loss, epochs, seconds, speed, parameters;
} fold_record;
enum { RECORD = sizeof(fold_record) / sizeof(double) };

/** What two runs must have in common for one to continue the other. */
enum { CONDITIONS = 14 };

/** A cross-validation under way. */
typedef struct validation {
    const example_options *options;
    qn_context *ctx;
    const text_set *set;
    text_recipe recipe;
    int folds, done;
    fold_record *records;
    text_model classes; /* their names alone */
    text_metrics metrics;
    const char *checkpoint;
    qn_metadata conditions[CONDITIONS];
    char values[CONDITIONS][32];
    FILE *log;
} validation;

/* ---- the checkpoint ------------------------------------------------------------------------- */

static void add_condition(validation *v, int *count, const char *key, double value) {
    example_number_text(value, v->values[*count]);
    v->conditions[*count] = (qn_metadata){key, v->values[*count]};
    ++*count;
}

static void set_conditions(validation *v) {
    const text_recipe *r = &v->recipe;
    const double *number = v->options->number;
    int count = 0;
    v->conditions[count++] = (qn_metadata){"model", r->model};
    v->conditions[count++] = (qn_metadata){"optimizer", r->optimizer};
    add_condition(v, &count, "folds", v->folds);
    add_condition(v, &count, "texts", (double)qn_corpus_count(v->set->all));
    add_condition(v, &count, "seed", (double)v->options->seed);
    add_condition(v, &count, "epochs", r->epochs);
    add_condition(v, &count, "batch size", (double)r->batch_size);
    add_condition(v, &count, "learning rate", r->lr);
    add_condition(v, &count, "width", (double)r->width);
    add_condition(v, &count, "max length", (double)r->max_length);
    add_condition(v, &count, "min count", r->min_count);
    add_condition(v, &count, "ngrams", r->ngrams);
    add_condition(v, &count, "buckets", number[TEXT_BUCKETS]);
    add_condition(v, &count, "word dropout", number[TEXT_WORD_DROPOUT]);
}

/** The state as tensors: made from it to be written, or empty to be read into it. */
typedef struct state {
    qn_named_tensor list[4];
    int64_t totals[3];
} state;
enum { RECORDS, COUNTS, CONFUSION, TOTALS };

static state make_state(const validation *v) {
    const text_metrics *m = &v->metrics;
    const int64_t classes = m->classes;
    state s = {.totals = {v->done, m->texts, m->right}};
    s.list[RECORDS] = (qn_named_tensor){
        .name = "records",
        .tensor = qn_from_data(v->ctx, QN_F64, QN_SHAPE(v->folds, RECORD), v->records)};
    s.list[COUNTS] = (qn_named_tensor){
        .name = "counts", .tensor = qn_from_data(v->ctx, QN_I64, QN_SHAPE(classes, 3), m->counts)};
    s.list[CONFUSION] = (qn_named_tensor){
        .name = "confusion",
        .tensor = qn_from_data(v->ctx, QN_I64, QN_SHAPE(classes, classes), m->confusion)};
    s.list[TOTALS] = (qn_named_tensor){
        .name = "totals", .tensor = qn_from_data(v->ctx, QN_I64, QN_SHAPE(3), s.totals)};
    return s;
}

static int save_state(const validation *v) {
    const state s = make_state(v);
    qn_tensors_write(v->ctx, v->checkpoint, s.list, sizeof(s.list) / sizeof(*s.list), v->conditions,
                     CONDITIONS);
    qn_step_end(v->ctx);
    return example_status(v->ctx);
}

static int check_conditions(const validation *v, const qn_tensor_file *file, const char *path) {
    for (int i = 0; i < CONDITIONS; i++) {
        const qn_metadata *now = &v->conditions[i];
        const char *was = qn_tensor_file_metadata(file, now->key);
        if (!was)
            return example_error("'%s' is no checkpoint of a cross-validation", path);
        if (strcmp(was, now->value) != 0)
            return example_error("'%s' was made with %s %s, not %s", path, now->key, was,
                                 now->value);
    }
    return EXAMPLE_OK;
}

static int load_state(validation *v, const char *path) {
    qn_tensor_file *file = qn_tensor_file_open(v->ctx, path);
    int code = example_status(v->ctx);
    if (code != EXAMPLE_OK)
        return code;
    code = check_conditions(v, file, path);
    text_metrics *m = &v->metrics;
    const size_t classes = (size_t)m->classes;
    state s = make_state(v);
    for (int i = 0; code == EXAMPLE_OK && i <= TOTALS; i++)
        qn_tensor_file_read(file, s.list[i].name, s.list[i].tensor);
    qn_tensor_file_free(file);
    qn_tensor_read(s.list[RECORDS].tensor, v->records, (size_t)v->folds * sizeof(*v->records));
    qn_tensor_read(s.list[COUNTS].tensor, m->counts, classes * sizeof(*m->counts));
    qn_tensor_read(s.list[CONFUSION].tensor, m->confusion, classes * classes * sizeof(int64_t));
    qn_tensor_read(s.list[TOTALS].tensor, s.totals, sizeof(s.totals));
    qn_step_end(v->ctx);
    if (code == EXAMPLE_OK)
        code = example_status(v->ctx);
    v->done = s.totals[0] >= 0 && s.totals[0] <= v->folds ? (int)s.totals[0] : 0;
    m->texts = s.totals[1];
    m->right = s.totals[2];
    return code;
}

/* ---- the log -------------------------------------------------------------------------------- */

static void log_start(const validation *v) {
    if (!v->log)
        return;
    fprintf(v->log,
            "{\"event\": \"start\", \"version\": \"%s\", \"device\": \"%s\", \"threads\": %d, "
            "\"folds\": %d, \"epochs\": %d, \"samples\": %lld, \"resumed_folds\": %d, "
            "\"settings\": {\"data\": ",
            qn_version(), qn_context_device(v->ctx), qn_context_threads(v->ctx), v->folds,
            v->recipe.epochs, (long long)qn_corpus_count(v->set->all), v->done);
    example_json_text(v->log, v->set->name);
    for (int i = 0; i < CONDITIONS; i++)
        fprintf(v->log, ", \"%s\": \"%s\"", v->conditions[i].key, v->conditions[i].value);
    fputs("}}\n", v->log);
    fflush(v->log);
}

static void log_fold(const validation *v, int fold) {
    const fold_record *r = &v->records[fold];
    if (!v->log)
        return;
    fprintf(v->log, "{\"event\": \"fold\", \"fold\": %d", fold + 1);
    example_json_member(v->log, "test_accuracy", r->accuracy);
    example_json_member(v->log, "test_loss", r->loss);
    fprintf(v->log, ", \"epochs\": %.0f, \"seconds\": %.3f", r->epochs, r->seconds);
    example_json_member(v->log, "samples_per_second", r->speed);
    fputs("}\n", v->log);
    fflush(v->log);
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/** Median of the folds' training speeds. */
static double median_speed(const validation *v) {
    double *speeds = malloc((size_t)v->folds * sizeof(*speeds));
    if (!speeds)
        return NAN;
    for (int i = 0; i < v->folds; i++)
        speeds[i] = v->records[i].speed;
    qsort(speeds, (size_t)v->folds, sizeof(*speeds), compare);
    const double median = (speeds[(v->folds - 1) / 2] + speeds[v->folds / 2]) / 2;
    free(speeds);
    return median;
}

/** Mean and standard deviation of the folds' accuracies. */
static void accuracy_of(const validation *v, double *mean, double *deviation) {
    double sum = 0, squares = 0;
    for (int i = 0; i < v->folds; i++)
        sum += v->records[i].accuracy;
    *mean = sum / v->folds;
    for (int i = 0; i < v->folds; i++)
        squares += pow(v->records[i].accuracy - *mean, 2);
    *deviation = sqrt(squares / (v->folds - 1));
}

static double total_seconds(const validation *v) {
    double seconds = 0;
    for (int i = 0; i < v->folds; i++)
        seconds += v->records[i].seconds;
    return seconds;
}

static void log_done(const validation *v) {
    double mean, deviation;
    struct rusage usage = {.ru_maxrss = 0};
    if (!v->log)
        return;
    accuracy_of(v, &mean, &deviation);
    getrusage(RUSAGE_SELF, &usage);
    const text_summary s = text_metrics_summary(&v->metrics);
    fputs("{\"event\": \"done\"", v->log);
    example_json_member(v->log, "test_accuracy", mean);
    example_json_member(v->log, "test_accuracy_deviation", deviation);
    example_json_member(v->log, "macro_f1", s.macro_f1);
    example_json_member(v->log, "micro_f1", s.micro_f1);
    example_json_member(v->log, "hamming_loss", s.hamming_loss);
    example_json_member(v->log, "samples_per_second", median_speed(v));
    fprintf(v->log,
            ", \"folds\": %d, \"epochs\": %d, \"seconds\": %.3f, \"peak_rss_mb\": %.1f, "
            "\"parameters\": %.0f, \"device\": \"%s\", \"threads\": %d}\n",
            v->folds, v->recipe.epochs, total_seconds(v), (double)usage.ru_maxrss / 1024,
            v->records[v->folds - 1].parameters, qn_context_device(v->ctx),
            qn_context_threads(v->ctx));
}

/* ---- a fold --------------------------------------------------------------------------------- */

/** A seed of its own for each fold: multiples of the golden ratio are far from each other. */
static uint64_t fold_seed(const validation *v, int fold) {
    return v->options->seed + (uint64_t)fold * UINT64_C(0x9e3779b97f4a7c15);
}

/** Trains a model; `measured` gets what it came to on the texts held out. */
static int fit_fold(const validation *v, int fold, const text_model *model, qn_corpus *train,
                    qn_corpus *held_out, text_metrics *measured) {
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%.4000s.%d", v->checkpoint, fold + 1);
    qn_dataset *x = qn_text_dataset(train, model->vocabulary, model->max_length);
    qn_dataset *test = qn_text_dataset(held_out, model->vocabulary, model->max_length);
    qn_fit_result result = {.epochs = 0};
    qn_fit_opts opts = text_fit_opts(model, &v->recipe);
    opts.seed = fold_seed(v, fold);
    opts.validation = test;
    opts.progress = !v->options->quiet;
    opts.handle_interrupt = true;
    opts.checkpoint = path;
    opts.resume = v->options->resume && access(path, F_OK) == 0 ? path : NULL;
    opts.result = &result;
    int code = EXAMPLE_OK;
    if (qn_fit(model->net, x, &opts) == QN_INTERRUPTED) {
        example_print_resume(v->options, v->checkpoint);
        code = EXAMPLE_SIGNALLED + result.signal;
    }
    if (code == EXAMPLE_OK)
        code = example_status(v->ctx);
    if (code == EXAMPLE_OK && text_metrics_add(measured, model, held_out, test, 0) != QN_OK)
        code = example_status(v->ctx);
    const text_summary s = text_metrics_summary(measured);
    v->records[fold] = (fold_record){.accuracy = s.accuracy,
                                     .loss = s.loss,
                                     .epochs = result.epochs,
                                     .seconds = result.seconds,
                                     .speed = result.samples_per_second,
                                     .parameters = (double)qn_module_parameter_count(model->net)};
    qn_dataset_free(x);
    qn_dataset_free(test);
    return code;
}

/** Writes that a fold has ended, and takes its own checkpoint away. */
static int end_fold(validation *v, int fold, const text_metrics *measured) {
    char path[PATH_SIZE];
    text_metrics_join(&v->metrics, measured);
    v->done = fold + 1;
    const int code = save_state(v);
    if (code != EXAMPLE_OK)
        return code;
    snprintf(path, sizeof(path), "%.4000s.%d", v->checkpoint, fold + 1);
    remove(path);
    log_fold(v, fold);
    if (!v->options->quiet)
        fprintf(stderr, "fold %d/%d  test accuracy %.2f %%\n", fold + 1, v->folds,
                100 * v->records[fold].accuracy);
    return EXAMPLE_OK;
}

static int run_fold(validation *v, int fold) {
    text_model model = {0};
    text_metrics measured = {.texts = 0};
    qn_corpus *held_out = NULL;
    qn_context_seed(v->ctx, fold_seed(v, fold));
    qn_corpus *train = qn_corpus_fold(v->set->all, v->folds, fold, v->options->seed, &held_out);
    int code = example_status(v->ctx);
    if (code == EXAMPLE_OK)
        code = text_model_new(v->options, &v->recipe, train, v->ctx, &model);
    if (code == EXAMPLE_OK)
        code = text_metrics_new(&model, &measured);
    if (code == EXAMPLE_OK)
        code = fit_fold(v, fold, &model, train, held_out, &measured);
    if (code == EXAMPLE_OK)
        code = end_fold(v, fold, &measured);
    text_metrics_free(&measured);
    text_model_free(&model);
    qn_corpus_free(train);
    qn_corpus_free(held_out);
    return code;
}

/* ---- the run -------------------------------------------------------------------------------- */

static void print_result(const validation *v) {
    double mean, deviation;
    accuracy_of(v, &mean, &deviation);
    printf("%d folds in %.1f s, test accuracy %.2f %%, standard deviation %.2f %%\n", v->folds,
           total_seconds(v), 100 * mean, 100 * deviation);
    if (v->options->log)
        printf("log: %s\n", v->options->log);
    putchar('\n');
    text_metrics_print(&v->metrics, &v->classes, false);
}

/** Makes ready: what is known of earlier folds, the checkpoint, the log. */
static int begin(validation *v) {
    const char *log = v->options->log;
    int code = EXAMPLE_OK;
    if (v->options->resume)
        code = load_state(v, v->options->resume);
    if (code == EXAMPLE_OK)
        code = save_state(v); /* also shows now that it can be written */
    if (code != EXAMPLE_OK)
        return code;
    if (log && !(v->log = fopen(log, "w")))
        return example_io_error(errno, "cannot write '%s'", log);
    log_start(v);
    for (int i = 0; i < v->done; i++)
        log_fold(v, i);
    return EXAMPLE_OK;
}

static int run_folds(validation *v) {
    int code = begin(v);
    for (int i = v->done; code == EXAMPLE_OK && i < v->folds; i++)
        code = run_fold(v, i);
    if (code != EXAMPLE_OK)
        return code;
    log_done(v);
    print_result(v);
    return EXAMPLE_OK;
}

/** Whether all that was written has arrived. */
static bool close_log(FILE *log) {
    const bool failed = ferror(log);
    return fclose(log) == 0 && !failed;
}

int text_folds(const example_options *options, qn_context *ctx, const text_set *set) {
    if (options->save || options->report || options->load || options->tensorboard)
        return example_error("--folds trains a model a fold and keeps none: it does not go with "
                             "--save, --load, --report or --tensorboard");
    validation v = {.options = options,
                    .ctx = ctx,
                    .set = set,
                    .recipe = text_recipe_of(options),
                    .folds = (int)options->number[TEXT_FOLDS]};
    size_t size;
    v.checkpoint = options->checkpoint ? options->checkpoint
                   : options->resume   ? options->resume
                                       : "text_classification.checkpoint";
    v.records = calloc((size_t)v.folds, sizeof(*v.records));
    int code = v.records ? text_model_classes(set->all, &v.classes, &size)
                         : example_io_error(ENOMEM, "the records of %d folds", v.folds);
    if (code == EXAMPLE_OK)
        code = text_metrics_new(&v.classes, &v.metrics);
    set_conditions(&v);
    if (code == EXAMPLE_OK)
        code = run_folds(&v);
    if (v.log && !close_log(v.log) && code == EXAMPLE_OK)
        code = example_io_error(errno, "cannot write '%s'", options->log);
    text_metrics_free(&v.metrics);
    text_model_free(&v.classes);
    free(v.records);
    return code;
}
