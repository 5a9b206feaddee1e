/* test_faults.c: every allocation of a training step, and around files, made to fail once.
 *
 * The linker sends the library's allocations to the wrappers below (tests/CMakeLists.txt). Leaks
 * are the sanitizer's business: under ./run tests this program runs with LeakSanitizer too. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quern.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);

static long calls_left = -1; /* before the one that fails; negative: none fails */
static bool failed;

static bool fails(void) {
    if (calls_left < 0 || calls_left-- > 0)
        return false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    return fails() ? NULL : __real_realloc(memory, size);
}

/* Device memory is asked for again after the cache was given back, so it fails twice in a row. */
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
    static bool once_more;
    if (once_more || fails()) {
        once_more = !once_more;
        return ENOMEM;
    }
    return __real_posix_memalign(memory, alignment, size);
}

/** A small network with a layer of each kind. */
static qn_module *network(qn_context *ctx) {
    return qn_nn_sequential(ctx, qn_nn_conv2d(ctx, 1, 4, 3, &(qn_conv2d_opts){.padding = {1}}),
                            qn_nn_batch_norm(ctx, 4, NULL), qn_nn_relu(ctx),
                            qn_nn_max_pool2d(ctx, 2, NULL), qn_nn_flatten(ctx),
                            qn_nn_dropout(ctx, 0.3), qn_nn_linear(ctx, 4 * 3 * 3, 5, NULL), NULL);
}

/** Rows of the same images as steps in time, through layers that look along it. */
static qn_tensor *along_time(qn_module *self, qn_tensor *x) {
    static const int64_t lengths[2] = {6, 4};
    qn_module *rev_in = qn_module_child(self, 0), *encoder = qn_module_child(self, 1);
    qn_tensor *within = qn_from_data(qn_module_context(self), QN_I64, QN_SHAPE(2), lengths);
    x = qn_forward(encoder, qn_forward(rev_in, qn_reshape(x, QN_SHAPE(2, 6, 6))));
    x = qn_nn_rev_in_restore(rev_in, x);
    x = qn_nn_recurrent_forward(qn_module_child(self, 2), x, within, NULL).y;
    return qn_conv1d_max(qn_transpose(x, 1, 2), qn_module_find(self, "filters"), NULL, within, 1);
}

static qn_module *sequence_network(qn_context *ctx) {
    const qn_nn_recurrent_opts both_ways = {.bidirectional = true};
    qn_module *net = qn_module_new(ctx, "sequence", along_time, NULL, NULL);
    qn_module_add_child(net, "rev_in", qn_nn_rev_in(ctx, 6));
    qn_module_add_child(
        net, "encoder",
        qn_nn_transformer_encoder_layer(ctx, 6, 2, &(qn_nn_transformer_opts){.dropout = 0.1}));
    qn_module_add_child(net, "lstm", qn_nn_lstm(ctx, 6, 4, &both_ways));
    qn_module_add_parameter(net, "filters", qn_parameter(ctx, QN_F32, QN_SHAPE(5, 8, 3)));
    return net;
}

static qn_status step(qn_context *ctx, qn_module *net, qn_optimizer *optimizer) {
    float pixels[2 * 36];
    for (int i = 0; i < 72; i++)
        pixels[i] = (float)(i % 7) / 7;
    const int64_t classes[2] = {1, 4};
    qn_tensor *x = qn_from_data(ctx, QN_F32, QN_SHAPE(2, 1, 6, 6), pixels);
    qn_tensor *y = qn_from_data(ctx, QN_I64, QN_SHAPE(2), classes);
    qn_status status = qn_backward(qn_cross_entropy(qn_forward(net, x), y));
    if (status == QN_OK)
        status = qn_optimizer_step(optimizer);
    qn_step_end(ctx);
    return status;
}

/** Everything from the context to the second step. */
static qn_status train(qn_module *(*make)(qn_context *ctx)) {
    qn_context *ctx = qn_context_new("cpu");
    qn_context_set_threads(ctx, 1);
    qn_module *net = make(ctx);
    qn_optimizer_spec spec = qn_adam(1e-3);
    spec.clip_norm = 1;
    qn_optimizer *optimizer = qn_optimizer_new(net, spec);
    qn_status status = step(ctx, net, optimizer);
    if (status == QN_OK)
        status = step(ctx, net, optimizer);
    if (status != QN_OK)
        cr_assert_eq(qn_context_error(ctx, NULL), QN_OUT_OF_MEMORY, "%s", qn_context_message(ctx));
    qn_context_free(ctx);
    return status;
}

static qn_status train_images(void) { return train(network); }

static qn_status train_sequences(void) { return train(sequence_network); }

/** The same for a table with a sparse gradient, looked up twice before a step. */
static qn_status train_table(void) {
    const int64_t words[6] = {1, 4, 0, 4, 2, 0}, classes[2] = {1, 2};
    qn_context *ctx = qn_context_new("cpu");
    qn_context_set_threads(ctx, 1);
    const qn_embedding_opts opts = {.padding = true, .sparse = true};
    qn_module *net = qn_nn_sequential(ctx, qn_nn_embedding_bag(ctx, 5, 4, QN_BAG_MEAN, &opts),
                                      qn_nn_linear(ctx, 4, 3, NULL), NULL);
    qn_optimizer_spec spec = qn_adam(1e-3);
    spec.clip_norm = 1;
    qn_module_limit_norm(net, "0.weight", 1);
    qn_optimizer *optimizer = qn_optimizer_new(net, spec);
    for (int pass = 0; pass < 2; pass++) {
        qn_tensor *x = qn_from_data(ctx, QN_I64, QN_SHAPE(2, 3), words);
        qn_tensor *y = qn_from_data(ctx, QN_I64, QN_SHAPE(2), classes);
        qn_backward(qn_cross_entropy(qn_forward(net, x), y));
        qn_grad(qn_module_find(net, "0.weight"));
    }
    qn_optimizer_step(optimizer);
    qn_step_end(ctx);
    qn_status status = qn_context_error(ctx, NULL);
    cr_assert(status == QN_OK || status == QN_OUT_OF_MEMORY, "%s", qn_context_message(ctx));
    qn_context_free(ctx);
    return status;
}

/** Operations and layers along time, there and back, in two steps. */
static qn_status train_series(void) {
    const double levels[2] = {0.5, 0.9};
    qn_context *ctx = qn_context_new("cpu");
    qn_context_set_threads(ctx, 1);
    qn_module *rev_in = qn_nn_rev_in(ctx, 3), *conv = qn_nn_conv1d(ctx, 3, 2, 3, NULL);
    qn_module *norm = qn_nn_instance_norm(ctx, 2, 0);
    qn_tensor *filters = qn_parameter(ctx, QN_F32, QN_SHAPE(4, 2, 3));
    for (int pass = 0; pass < 2; pass++) {
        qn_tensor *x = qn_forward(rev_in, qn_ones(ctx, QN_F32, QN_SHAPE(2, 9, 3)));
        qn_tensor *trend = qn_nn_rev_in_restore(rev_in, qn_moving_average(x, 1, 3));
        qn_tensor *windows = qn_unfold(qn_sort(qn_cumsum(trend, 1), 1, true, NULL), 1, 4, 2);
        qn_tensor *y = qn_forward(norm, qn_forward(conv, qn_transpose(trend, 1, 2)));
        y = qn_conv1d_max(y, filters, NULL, NULL, 1);
        qn_tensor *loss = qn_quantile_loss(qn_reshape(y, QN_SHAPE(4, 2)),
                                           qn_zeros(ctx, QN_F32, QN_SHAPE(4)), levels, 2);
        qn_backward(qn_add(loss, qn_mean(windows, QN_ALL, false)));
        qn_step_end(ctx);
    }
    qn_status status = qn_context_error(ctx, NULL);
    cr_assert(status == QN_OK || status == QN_OUT_OF_MEMORY, "%s", qn_context_message(ctx));
    qn_context_free(ctx);
    return status;
}

#define CORPUS QUERN_SOURCE_DIR "/tests/fuzz/corpus/"

static qn_status get_zeros(void *data, int64_t index, void *x, void *y) {
    (void)data;
    (void)index;
    memset(x, 0, 16 * sizeof(float));
    *(float *)y = 0;
    return QN_OK;
}

/** Every reader and writer once, and a loader. */
static qn_status use_files(void) {
    static const char *const names[] = {"zero", "one", "two"};
    char path[256];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof(path), "%.200s/quern-faults-%ld", folder ? folder : "/tmp",
             (long)getpid());
    qn_context *ctx = qn_context_new("cpu");
    qn_idx_array array = {0};
    qn_idx_read(ctx, CORPUS "fuzz_idx/labels.gz", &array);
    free(array.data);
    qn_dataset_desc desc = {.count = 5,
                            .x_shape = QN_SHAPE(1, 4, 4),
                            .classes = 3,
                            .class_names = names,
                            .get = get_zeros};
    qn_dataset *part = qn_dataset_slice(qn_dataset_new(ctx, &desc), 1, 5);
    qn_loader *loader = qn_loader_new(part, &(qn_loader_opts){.augment = {.shift = 1}});
    qn_batch batch;
    qn_loader_next(loader, &batch);
    qn_image_read(ctx, CORPUS "fuzz_image/grey.png");
    qn_image_resize(qn_image_read(ctx, CORPUS "fuzz_image/binary.pgm"), 4, 4);
    qn_module *net = network(ctx);
    qn_save(net, path);
    qn_load(net, path);
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    qn_tensor_file_read(file, "0.weight", qn_module_find(net, "0.weight"));
    unlink(path);
    qn_status status = qn_context_error(ctx, NULL);
    cr_assert(status == QN_OK || status == QN_OUT_OF_MEMORY, "%s", qn_context_message(ctx));
    qn_context_free(ctx);
    return status;
}

/** Texts from a file to a dataset, with all that comes between. */
static qn_status use_texts(void) {
    qn_context *ctx = qn_context_new("cpu");
    qn_corpus *corpus = qn_corpus_open(ctx, CORPUS "fuzz_corpus/spam.csv.gz", NULL), *rest = NULL;
    qn_corpus_open(ctx, CORPUS "fuzz_corpus/several.csv", &(qn_corpus_opts){.delimiter = "|"});
    qn_corpus_open(ctx, CORPUS "fuzz_corpus/questions.trec",
                   &(qn_corpus_opts){.format = QN_TEXT_TREC});
    qn_corpus *part = qn_corpus_split(corpus, 0.5, 1, &rest);
    const qn_vocabulary_opts opts = {.tokenizer = {.ngrams = 2, .buckets = 10}};
    const qn_vocabulary *vocabulary = qn_vocabulary_new(part, &opts);
    vocabulary = qn_vocabulary_unpack(qn_vocabulary_pack(ctx, vocabulary));
    qn_tensor *table = qn_zeros(ctx, QN_F32, QN_SHAPE(qn_vocabulary_size(vocabulary), 3));
    qn_vectors_read(table, vocabulary, CORPUS "fuzz_vectors/glove", NULL);
    qn_text_dataset(rest, vocabulary, 0);
    qn_status status = qn_context_error(ctx, NULL);
    cr_assert(status == QN_OK || status == QN_OUT_OF_MEMORY, "%s", qn_context_message(ctx));
    qn_context_free(ctx);
    return status;
}

/** Time series from files to windows. */
static qn_status use_series(void) {
    static const qn_windows_kind kinds[] = {QN_WINDOWS_JOINT, QN_WINDOWS_SINGLE,
                                            QN_WINDOWS_RECURSIVE};
    qn_context *ctx = qn_context_new("cpu");
    qn_series_open(ctx, CORPUS "fuzz_series/daily.csv", NULL);
    qn_series *series = qn_series_open(ctx, CORPUS "fuzz_series/items.csv.gz", NULL);
    for (int i = 0; i < 3; i++)
        qn_windows(series, &(qn_windows_opts){.kind = kinds[i], .look_back = 3, .horizon = 2});
    qn_status status = qn_context_error(ctx, NULL);
    cr_assert(status == QN_OK || status == QN_OUT_OF_MEMORY, "%s", qn_context_message(ctx));
    qn_context_free(ctx);
    return status;
}

static qn_status get_stripes(void *data, int64_t index, void *x, void *y) {
    (void)data;
    for (int i = 0; i < 36; i++)
        ((float *)x)[i] = (float)((7 * index + 3 * i) % 11);
    *(int64_t *)y = index % 5;
    return QN_OK;
}

static qn_status add_measures(qn_report *report, void *data) {
    (void)data;
    static const char *const cells[] = {"a", "b"};
    static const double values[] = {1, 2};
    qn_status status = qn_report_number(report, "measure", 1);
    if (status == QN_OK)
        status = qn_report_table(report, 2, cells);
    if (status == QN_OK)
        status = qn_report_chart(report, &(qn_chart){.count = 2, .lines = {{"a", values}}});
    return status;
}

/** Removes a folder that has files only. */
static void remove_folder(const char *path) {
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    rmdir(path);
}

/** A run of qn_fit() with all its files, and one that resumes from it. */
static qn_status fit(void) {
    char path[5][256];
    const char *folder = getenv("TMPDIR");
    for (int i = 0; i < 5; i++)
        snprintf(path[i], sizeof(path[i]), "%.200s/quern-fit-%ld-%d", folder ? folder : "/tmp",
                 (long)getpid(), i);
    qn_context *ctx = qn_context_new("cpu");
    qn_context_set_threads(ctx, 1);
    qn_dataset *set = qn_dataset_new(ctx, &(qn_dataset_desc){.name = "stripes",
                                                             .count = 10,
                                                             .x_shape = QN_SHAPE(1, 6, 6),
                                                             .y_dtype = QN_I64,
                                                             .classes = 5,
                                                             .get = get_stripes});
    qn_module *net = network(ctx);
    qn_fit(net, set,
           &(qn_fit_opts){.batch_size = 5,
                          .validation = set,
                          .test = set,
                          .restore_best = true,
                          .finish = add_measures,
                          .tensorboard = QUERN_TENSORBOARD ? path[4] : NULL,
                          .checkpoint = path[0],
                          .log = path[1],
                          .report = path[2],
                          .save = path[3]});
    if (qn_context_error(ctx, NULL) == QN_OK)
        qn_fit(net, set,
               &(qn_fit_opts){
                   .batch_size = 5, .validation = set, .restore_best = true, .resume = path[0]});
    qn_predict(net, set, 3);
    for (int i = 0; i < 4; i++)
        unlink(path[i]);
    remove_folder(path[4]);
    qn_status status = qn_context_error(ctx, NULL);
    cr_assert(status == QN_OK || status == QN_OUT_OF_MEMORY, "%s", qn_context_message(ctx));
    qn_context_free(ctx);
    return ctx ? status : QN_OUT_OF_MEMORY;
}

/** Runs `work` again and again, with one allocation after the other failing. */
static void fail_each_allocation(qn_status (*work)(void), long least) {
    cr_assert_eq(work(), QN_OK);
    long n = 0;
    do {
        failed = false;
        calls_left = n++;
        qn_status status = work();
        calls_left = -1;
        if (failed)
            cr_assert_neq(status, QN_OK, "allocation %ld failed and nobody noticed", n);
        else
            cr_assert_eq(status, QN_OK);
    } while (failed);
    cr_assert_gt(n, least, "only %ld allocations seen: are the wrappers in place?", n);
}

Test(faults, every_allocation_of_a_training_may_fail) { fail_each_allocation(train_images, 100); }

Test(faults, every_allocation_of_a_training_along_time_may_fail) {
    fail_each_allocation(train_sequences, 300);
}

Test(faults, every_allocation_of_a_sparse_training_may_fail) {
    fail_each_allocation(train_table, 50);
}

Test(faults, every_allocation_along_time_may_fail) { fail_each_allocation(train_series, 100); }

Test(faults, every_allocation_around_files_may_fail) { fail_each_allocation(use_files, 50); }

Test(faults, every_allocation_around_texts_may_fail) { fail_each_allocation(use_texts, 50); }

Test(faults, every_allocation_around_time_series_may_fail) { fail_each_allocation(use_series, 30); }

Test(faults, every_allocation_of_qn_fit_may_fail) { fail_each_allocation(fit, 100); }

/** One step with one allocation after the other failing, and one more, which works. */
static void go_on_after_each(qn_module *(*make)(qn_context *ctx)) {
    long n = 0;
    do {
        qn_context *ctx = qn_context_new("cpu");
        qn_context_set_threads(ctx, 1);
        qn_module *net = make(ctx);
        qn_optimizer *optimizer = qn_optimizer_new(net, qn_sgd(0.1, 0.9));
        failed = false;
        calls_left = n++;
        qn_status status = step(ctx, net, optimizer);
        calls_left = -1;
        cr_assert_eq(failed, status != QN_OK);
        qn_context_clear_error(ctx);
        cr_assert_eq(step(ctx, net, optimizer), QN_OK, "after allocation %ld: %s", n,
                     qn_context_message(ctx));
        qn_context_free(ctx);
    } while (failed);
}

Test(faults, training_goes_on_after_memory_was_out) { go_on_after_each(network); }

Test(faults, training_along_time_goes_on_after_memory_was_out) {
    go_on_after_each(sequence_network);
}

/* ---- plans ------------------------------------------------------------------------------- */

typedef struct planned {
    qn_module *net;
    qn_optimizer *optimizer;
} planned;

static qn_status planned_step(void *data, qn_tensor *const *in, qn_tensor **out) {
    planned *p = data;
    out[0] = qn_cross_entropy(qn_forward(p->net, in[0]), in[1]);
    qn_status status = qn_backward(out[0]);
    return status == QN_OK ? qn_optimizer_step(p->optimizer) : status;
}

static qn_status run_planned(qn_plan *plan, qn_context *ctx) {
    const int64_t classes[2] = {1, 4};
    qn_tensor *in[] = {qn_ones(ctx, QN_F32, QN_SHAPE(2, 1, 6, 6)),
                       qn_from_data(ctx, QN_I64, QN_SHAPE(2), classes)};
    qn_tensor *loss;
    qn_status status = in[0] && in[1] ? qn_plan_run(plan, in, 2, &loss, 1) : QN_OUT_OF_MEMORY;
    qn_step_end(ctx);
    return status;
}

/** Memory for a recording may be out: either the step fails, or it goes on without a plan and says
 * so. */
Test(faults, every_allocation_of_a_plan_may_fail) {
    long n = 0;
    int declined = 0;
    setenv("QUERN_FUSE", "64", 1); /* blocks so small that calls of this network are fused too */
    do {
        qn_context *ctx = qn_context_new("cpu");
        qn_context_set_threads(ctx, 1);
        planned p = {.net = network(ctx)};
        p.optimizer = qn_optimizer_new(p.net, qn_adam(1e-3));
        failed = false;
        calls_left = n++;
        qn_plan *plan = qn_plan_new(ctx, planned_step, &p);
        qn_status status = plan ? QN_OK : QN_OUT_OF_MEMORY;
        for (int i = 0; i < 5 && status == QN_OK; i++)
            status = run_planned(plan, ctx);
        calls_left = -1;
        qn_plan_info info = qn_plan_stats(plan);
        cr_assert_eq(failed, status != QN_OK || info.reason != NULL, "allocation %ld", n);
        declined += status == QN_OK && info.reason != NULL;
        qn_context_clear_error(ctx);
        if (plan)
            cr_assert_eq(run_planned(plan, ctx), QN_OK, "after allocation %ld: %s", n,
                         qn_context_message(ctx));
        qn_context_free(ctx);
    } while (failed);
    cr_expect_gt(declined, 5);
}
