/* test_train.c: the fit loop: results, resuming, interruption, progress, log, report. */
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>

#include "scratch.h"

TestSuite(train, .init = scratch_open, .fini = scratch_close);

/* ---- a small task --------------------------------------------------------------------------- */

enum { SIDE = 6, CLASSES = 3, SAMPLES = 50, BATCH = 8, BATCHES = 7 };

/* An image with a bright row that tells the class, and noise that depends on the index alone. */
static qn_status get_sample(void *data, int64_t index, void *x, void *y) {
    (void)data;
    float *pixels = x;
    uint32_t noise = (uint32_t)index * 2654435761u + 1;
    const int64_t class_index = index % CLASSES;
    for (int i = 0; i < SIDE * SIDE; i++) {
        noise = noise * 1664525u + 1013904223u;
        pixels[i] = (float)(noise >> 8) / (1 << 24) + (i / SIDE == 2 * class_index ? 1.5f : 0);
    }
    *(int64_t *)y = class_index;
    return QN_OK;
}

static qn_dataset *small_set(int64_t count) {
    static const char *const names[CLASSES] = {"<top>", "middle", "bottom"};
    return qn_dataset_new(ctx, &(qn_dataset_desc){.name = "rows & noise",
                                                  .count = count,
                                                  .x_dtype = QN_F32,
                                                  .x_shape = QN_SHAPE(1, SIDE, SIDE),
                                                  .y_dtype = QN_I64,
                                                  .y_shape = QN_SCALAR,
                                                  .classes = CLASSES,
                                                  .class_names = names,
                                                  .get = get_sample});
}

/* A layer of each kind that has something to remember: statistics, random numbers, parameters. */
static qn_module *small_net(void) {
    qn_context_seed(ctx, 5);
    return qn_nn_sequential(ctx, qn_nn_conv2d(ctx, 1, 4, 3, NULL), qn_nn_batch_norm(ctx, 4, NULL),
                            qn_nn_relu(ctx), qn_nn_flatten(ctx), qn_nn_dropout(ctx, 0.2),
                            qn_nn_linear(ctx, 4 * 16, CLASSES, NULL), NULL);
}

/* What most tests train with; three epochs of seven steps. */
static qn_fit_opts small_opts(void) {
    return (qn_fit_opts){.optimizer = qn_adam(0.01),
                         .schedule = qn_schedule_one_cycle(),
                         .epochs = 3,
                         .batch_size = BATCH,
                         .augment = {.shift = 0.5, .rotate = 3},
                         .seed = 9,
                         .validation = small_set(30)};
}

static qn_status fit(const qn_fit_opts *opts) {
    return qn_fit(small_net(), small_set(SAMPLES), opts);
}

static void new_context(void) {
    qn_context_free(ctx);
    ctx = qn_context_new("cpu");
}

static void expect_same_files(const char *a, const char *b) {
    size_t a_size, b_size;
    char *a_data = scratch_read(a, &a_size), *b_data = scratch_read(b, &b_size);
    cr_expect(a_size == b_size && memcmp(a_data, b_data, a_size) == 0, "%s differs from %s", a, b);
    free(a_data);
    free(b_data);
}

static void expect_words(const char *text, const char *words) {
    cr_expect(strstr(text, words), "\"%s\" is not in \"%.2000s\"", words, text);
}

/* The error on the context has these words; it is cleared. */
static void expect_error(qn_status status, const char *words) {
    cr_expect_eq(qn_context_error(ctx, NULL), status);
    expect_words(qn_context_message(ctx), words);
    qn_context_clear_error(ctx);
}

/* ---- losses that do something else at a certain step ---------------------------------------- */

static int steps_left;
static volatile int stop_now;

static qn_tensor *loss_then_stop(qn_tensor *prediction, qn_tensor *target) {
    if (--steps_left == 0)
        stop_now = 1;
    return qn_cross_entropy(prediction, target);
}

static qn_tensor *loss_then_interrupt(qn_tensor *prediction, qn_tensor *target) {
    if (--steps_left == 0)
        raise(SIGINT);
    return qn_cross_entropy(prediction, target);
}

static qn_tensor *loss_then_kill(qn_tensor *prediction, qn_tensor *target) {
    if (--steps_left == 0)
        raise(SIGKILL);
    return qn_cross_entropy(prediction, target);
}

/* ---- results -------------------------------------------------------------------------------- */

Test(train, learns_and_tells_how_well) {
    qn_fit_result result;
    qn_fit_opts opts = small_opts();
    opts.epochs = 6;
    opts.result = &result;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_eq(result.epochs, 6);
    cr_expect_geq(result.validation.accuracy, 0.95);
    cr_expect_eq(result.validation.samples, 30);
    cr_expect_lt(result.validation.loss, 0.6);
    cr_expect(isfinite(result.train_loss));
    cr_expect_geq(result.best_accuracy, result.validation.accuracy);
    cr_expect(result.best_epoch >= 1 && result.best_epoch <= 6);
    cr_expect_not(result.interrupted);
    cr_expect_gt(result.samples_per_second, 0);
}

Test(train, train_loss_is_the_mean_over_samples_also_with_a_short_last_batch) {
    qn_module *net = qn_nn_sequential(ctx, qn_nn_flatten(ctx),
                                      qn_nn_linear(ctx, SIDE * SIDE, CLASSES, NULL), NULL);
    qn_dataset *set = small_set(SAMPLES);
    qn_metrics before = qn_evaluate(net, set, NULL, 16);
    qn_fit_result result;
    qn_fit_opts opts = {
        .optimizer = qn_sgd(1e-30, 0), .batch_size = BATCH, .result = &result}; /* does not move */
    cr_assert_eq(qn_fit(net, set, &opts), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_float_eq(result.train_loss, before.loss, 1e-6);
    cr_expect(isnan(result.validation.accuracy));
}

Test(train, evaluate_and_predict_agree_and_leave_the_mode_alone) {
    qn_module *net = small_net();
    qn_dataset *set = small_set(SAMPLES);
    qn_metrics metrics = qn_evaluate(net, set, NULL, 16);
    qn_tensor *outputs = qn_predict(net, set, 7);
    cr_assert_not_null(outputs, "%s", qn_context_message(ctx));
    float values[SAMPLES * CLASSES];
    cr_assert_eq(qn_tensor_read(outputs, values, sizeof values), QN_OK);
    int right = 0;
    for (int i = 0; i < SAMPLES; i++) {
        const float *row = values + CLASSES * i;
        int best = row[1] > row[0];
        best = row[2] > row[best] ? 2 : best;
        right += best == i % CLASSES;
    }
    cr_expect_float_eq(metrics.accuracy, (double)right / SAMPLES, 1e-12);
    cr_expect_eq(metrics.samples, SAMPLES);
    cr_expect(qn_module_is_training(net));
}

Test(train, refuses_what_cannot_be_trained) {
    cr_expect_eq(qn_fit(NULL, NULL, NULL), QN_INVALID_ARGUMENT);
    cr_expect_eq(qn_fit(small_net(), NULL, NULL), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "fit: needs a module and datasets of one context");
    cr_expect_neq(qn_fit(small_net(), small_set(0), NULL), QN_OK);
    expect_error(QN_INVALID_ARGUMENT, "no samples");
    const qn_fit_opts wrong[] = {{.early_stop = 1}, {.save_best = "best"}, {.settings_count = 1}};
    const char *const words[] = {"early_stop needs", "save_best needs", "setting 0 needs"};
    for (int i = 0; i < 3; i++) {
        qn_fit(small_net(), small_set(9), &wrong[i]);
        expect_error(QN_INVALID_ARGUMENT, words[i]);
    }
}

Test(train, a_loss_that_runs_away_is_an_error) {
    qn_fit_opts opts = small_opts();
    opts.optimizer = qn_sgd(1e30, 0.9);
    opts.schedule = qn_schedule_constant();
    cr_expect_neq(fit(&opts), QN_OK);
    expect_error(QN_INVALID_ARGUMENT, "in epoch 1, by batch 7 of 7, at learning rate 1e+30");
}

Test(train, stops_early_when_the_loss_does_not_improve) {
    qn_fit_result result;
    qn_module *net = qn_nn_sequential(ctx, qn_nn_flatten(ctx),
                                      qn_nn_linear(ctx, SIDE * SIDE, CLASSES, NULL), NULL);
    qn_fit_opts opts = {.optimizer = qn_sgd(1e-30, 0),
                        .epochs = 9,
                        .validation = small_set(30),
                        .early_stop = 2,
                        .result = &result};
    cr_assert_eq(qn_fit(net, small_set(SAMPLES), &opts), QN_OK);
    cr_expect_eq(result.epochs, 3);
    cr_expect_eq(result.best_epoch, 1);
}

Test(train, saves_the_best_and_the_last_model) {
    qn_fit_result result;
    const qn_metadata settings[] = {{"model", "small"}};
    qn_fit_opts opts = small_opts();
    char best[256];
    snprintf(best, sizeof best, "%s", scratch_path("best"));
    opts.save = scratch_path("last");
    opts.save_best = best;
    opts.settings = settings;
    opts.settings_count = 1;
    opts.result = &result;
    qn_module *net = small_net();
    cr_assert_eq(qn_fit(net, small_set(SAMPLES), &opts), QN_OK, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_load(net, best), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_evaluate(net, opts.validation, NULL, 0).accuracy, result.best_accuracy);
    cr_assert_eq(qn_load(net, scratch_path("last")), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_float_eq(qn_evaluate(net, opts.validation, NULL, 0).loss, result.validation.loss,
                       1e-6);
    qn_tensor_file *file = qn_tensor_file_open(ctx, best);
    cr_expect_str_eq(qn_tensor_file_metadata(file, "model"), "small");
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

static double whole_loss; /* training loss of the last epoch of run_whole() */

/* The run that nothing disturbs, to "whole". */
static void run_whole(void) {
    qn_fit_result result;
    qn_fit_opts opts = small_opts();
    opts.save = scratch_path("whole");
    opts.result = &result;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    whole_loss = result.train_loss;
    new_context();
}

/* Continues from "state" to "again" in a context of its own. */
static void run_on(void) {
    char state[256];
    snprintf(state, sizeof state, "%s", scratch_path("state"));
    qn_fit_opts opts = small_opts();
    opts.resume = opts.checkpoint = state;
    opts.save = scratch_path("again");
    qn_fit_result result;
    opts.result = &result;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_eq(result.train_loss, whole_loss);
}

Test(train, resumed_anywhere_ends_with_the_same_bits) {
    static const int stops[] = {1, 4, BATCHES, BATCHES + 1, 2 * BATCHES + 3};
    run_whole();
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        qn_fit_result result;
        qn_fit_opts opts = small_opts();
        opts.checkpoint = scratch_path("state");
        opts.loss = loss_then_stop;
        opts.validation = NULL;
        opts.stop = &stop_now;
        opts.result = &result;
        steps_left = stops[i];
        stop_now = 0;
        cr_assert_eq(fit(&opts), QN_INTERRUPTED, "%s", qn_context_message(ctx));
        cr_expect(result.interrupted);
        cr_expect_eq(qn_context_error(ctx, NULL), QN_OK);
        new_context();
        run_on();
        new_context();
        expect_same_files(scratch_path("whole"), scratch_path("again"));
    }
}

Test(train, a_plateau_schedule_is_resumed_too) {
    char state[256];
    snprintf(state, sizeof state, "%s", scratch_path("state"));
    for (int part = 0; part < 3; part++) { /* whole; first two epochs; the rest */
        qn_fit_opts opts = small_opts();
        opts.schedule = qn_schedule_plateau(0.5, 0);
        opts.optimizer = qn_adam(0.2);
        opts.epochs = part == 1 ? 2 : 5;
        opts.checkpoint = part == 0 ? NULL : state;
        opts.resume = part == 2 ? state : NULL;
        opts.save = scratch_path(part == 0 ? "whole" : "again");
        cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
        new_context();
    }
    expect_same_files(scratch_path("whole"), scratch_path("again"));
}

/* Runs in a child that kills itself while it computes the loss of a step. */
static void run_killed(int step) {
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        ctx = qn_context_new("cpu");
        qn_fit_opts opts = small_opts();
        opts.checkpoint = scratch_path("state");
        opts.checkpoint_steps = 2;
        opts.loss = loss_then_kill;
        steps_left = step;
        fit(&opts);
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The children come first: threads do not survive a fork. */
Test(train, killed_and_resumed_ends_with_the_same_bits) {
    static const int kills[] = {1, 6, 12};
    enum { KILLS = sizeof kills / sizeof *kills };
    char state[256], kept[KILLS][256];
    snprintf(state, sizeof state, "%s", scratch_path("state"));
    for (int i = 0; i < KILLS; i++) {
        run_killed(kills[i]);
        snprintf(kept[i], sizeof kept[i], "%s/kept%d", scratch_folder, i);
        cr_assert_eq(rename(state, kept[i]), 0);
    }
    run_whole();
    for (int i = 0; i < KILLS; i++) {
        cr_assert_eq(rename(kept[i], state), 0);
        run_on();
        new_context();
        expect_same_files(scratch_path("whole"), scratch_path("again"));
    }
}

/* Tries to resume from "state" with other options. */
static void expect_refused(qn_fit_opts opts, qn_status status, const char *words) {
    opts.resume = scratch_path("state");
    cr_expect_neq(fit(&opts), QN_OK);
    expect_error(status, words);
}

Test(train, resuming_with_other_settings_is_refused_by_name) {
    qn_fit_opts opts = small_opts();
    opts.epochs = 2;
    opts.schedule = qn_schedule_constant();
    opts.checkpoint = scratch_path("state");
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    qn_fit_opts other = opts;
    other.epochs = 1;
    expect_refused(other, QN_INVALID_ARGUMENT, "2 epochs have ended there, this run is to have 1");
    other = opts;
    other.batch_size = 5;
    expect_refused(other, QN_INVALID_ARGUMENT, "was made with batch size 8, not 5");
    other = opts;
    other.optimizer.lr = 0.02;
    expect_refused(other, QN_INVALID_ARGUMENT, "was made with learning rate 0.01, not 0.02");
    other = opts;
    other.augment.rotate = 4;
    expect_refused(other, QN_INVALID_ARGUMENT, "was made with augment rotate 3, not 4");
    opts.resume = scratch_path("state");
    qn_module *net =
        qn_nn_sequential(ctx, qn_nn_flatten(ctx), qn_nn_linear(ctx, 36, CLASSES, NULL), NULL);
    cr_expect_neq(qn_fit(net, small_set(SAMPLES), &opts), QN_OK);
    expect_error(QN_SHAPE_MISMATCH, "tensors, this model and optimizer have 4");
}

Test(train, resuming_from_something_else_is_refused) {
    qn_module *net = small_net();
    cr_assert_eq(qn_save(net, scratch_path("state")), QN_OK);
    expect_refused(small_opts(), QN_BAD_FORMAT, "is no checkpoint of this version");
    scratch_write("state", "what is this", 12);
    expect_refused(small_opts(), QN_BAD_FORMAT, "state");
    remove(scratch_path("state"));
    expect_refused(small_opts(), QN_IO_ERROR, "state");
}

/* ---- interruption --------------------------------------------------------------------------- */

static void on_signal(int number) { (void)number; }

Test(train, ctrl_c_finishes_the_batch_and_gives_the_handler_back) {
    run_whole();
    signal(SIGINT, on_signal);
    qn_fit_opts opts = small_opts();
    opts.checkpoint = scratch_path("state");
    opts.handle_interrupt = true;
    opts.loss = loss_then_interrupt;
    steps_left = 5;
    cr_assert_eq(fit(&opts), QN_INTERRUPTED, "%s", qn_context_message(ctx));
    struct sigaction action;
    sigaction(SIGINT, NULL, &action);
    cr_expect_eq(action.sa_handler, on_signal);
    new_context();
    qn_tensor_file *file = qn_tensor_file_open(ctx, scratch_path("state"));
    cr_expect_str_eq(qn_tensor_file_metadata(file, "batch"), "5");
    run_on();
    expect_same_files(scratch_path("whole"), scratch_path("again"));
}

/* ---- progress ------------------------------------------------------------------------------- */

/* Runs with stderr going to `target`, and gives it back. */
static void run_with_stderr(int target) {
    qn_fit_opts opts = small_opts();
    opts.progress = true;
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    dup2(target, STDERR_FILENO);
    qn_status status = fit(&opts);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    cr_assert_eq(status, QN_OK, "%s", qn_context_message(ctx));
}

Test(train, without_a_terminal_progress_is_a_plain_line_an_epoch) {
    int file = open(scratch_path("progress"), O_CREAT | O_WRONLY, 0600);
    run_with_stderr(file);
    close(file);
    size_t size, lines = 0;
    char *text = scratch_read(scratch_path("progress"), &size);
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    cr_expect_eq(lines, 3);
    cr_expect_null(strpbrk(text, "\r\033"));
    expect_words(text, "epoch 2/3  train loss ");
    free(text);
}

/* What a run shows on a terminal of this locale, to be freed. */
static char *terminal_output(const char *locale) {
    enum { SIZE = 65536 };
    int terminal, other;
    if (openpty(&terminal, &other, NULL, NULL, NULL) != 0)
        cr_skip_test("no pseudo-terminals here");
    char *text = calloc(SIZE, 1);
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", locale, 1);
    run_with_stderr(other);
    fcntl(terminal, F_SETFL, O_NONBLOCK);
    for (ssize_t size = 0, got; size < SIZE - 1; size += got)
        if ((got = read(terminal, text + size, (size_t)(SIZE - 1 - size))) <= 0)
            break;
    close(other);
    close(terminal);
    return text;
}

Test(train, a_terminal_shows_a_bar_in_colour) {
    unsetenv("NO_COLOR");
    char *text = terminal_output("C");
    expect_words(text, "\r\033[Kepoch 1/3 \033[32m");
    expect_words(text, " samples/s  0:0");
    expect_words(text, "....");
    free(text);
}

Test(train, no_color_is_respected) {
    setenv("NO_COLOR", "1", 1);
    char *text = terminal_output("C.UTF-8");
    expect_words(text, "\r\033[Kepoch 1/3 ");
    expect_words(text, "\u2500\u2500");
    cr_expect_null(strstr(text, "\033[3"));
    cr_expect_null(strstr(text, "\033[0m"));
    free(text);
}

/* ---- log ------------------------------------------------------------------------------------ */

/* The lines of "log" as one array, to be released. */
static json_t *read_log(void) {
    FILE *file = fopen(scratch_path("log"), "r");
    cr_assert_not_null(file);
    json_t *lines = json_array();
    char line[8192];
    while (fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, 0, NULL);
        cr_assert_not_null(object, "not JSON: %s", line);
        json_array_append_new(lines, object);
    }
    fclose(file);
    return lines;
}

/* An object has these keys, in this order, and no others. */
static void expect_keys(const json_t *object, const char *const *keys) {
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        cr_expect(*keys && strcmp(*keys, key) == 0, "\"%s\" where \"%s\" is expected", key, *keys);
        if (*keys)
            keys++;
    }
    cr_expect_null(*keys);
}

static const char *const epoch_keys[] = {
    "event",   "epoch", "train_loss", "test_loss", "test_accuracy", "samples_per_second",
    "seconds", NULL};
static const char *const done_keys[] = {
    "event",       "test_accuracy", "epochs", "seconds", "samples_per_second",
    "peak_rss_mb", "parameters",    "device", "threads", NULL};

static const char *event(const json_t *lines, size_t line) {
    return json_string_value(json_object_get(json_array_get(lines, line), "event"));
}

Test(train, log_has_the_promised_keys) {
    qn_fit_opts opts = small_opts();
    opts.log = scratch_path("log");
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    json_t *lines = read_log();
    cr_assert_eq(json_array_size(lines), 5);
    cr_expect_str_eq(event(lines, 0), "start");
    for (size_t i = 1; i <= 3; i++) {
        const json_t *line = json_array_get(lines, i);
        expect_keys(line, epoch_keys);
        cr_expect_str_eq(event(lines, i), "epoch");
        cr_expect_eq(json_integer_value(json_object_get(line, "epoch")), (json_int_t)i);
        double accuracy = json_number_value(json_object_get(line, "test_accuracy"));
        cr_expect(accuracy >= 0 && accuracy <= 1);
    }
    const json_t *done = json_array_get(lines, 4);
    cr_expect_str_eq(event(lines, 4), "done");
    expect_keys(done, done_keys);
    cr_expect_eq(json_integer_value(json_object_get(done, "epochs")), 3);
    cr_expect_str_eq(json_string_value(json_object_get(done, "device")), "cpu");
    json_decref(lines);
}

Test(train, a_resumed_log_tells_each_epoch_once) {
    qn_fit_opts opts = small_opts();
    opts.log = scratch_path("log");
    opts.checkpoint = scratch_path("state");
    opts.stop = &stop_now;
    opts.validation = NULL;
    opts.loss = loss_then_stop;
    steps_left = BATCHES + 3;
    stop_now = 0;
    cr_assert_eq(fit(&opts), QN_INTERRUPTED);
    FILE *file = fopen(opts.log, "a"); /* as a run would leave it that was killed later */
    fputs("{\"event\": \"epoch\", \"epoch\": 2}\n{\"event\": \"ep", file);
    fclose(file);
    new_context();
    opts = small_opts();
    opts.log = scratch_path("log");
    opts.resume = scratch_path("state");
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    json_t *lines = read_log();
    cr_assert_eq(json_array_size(lines), 5);
    for (size_t i = 1; i <= 3; i++) {
        expect_keys(json_array_get(lines, i), epoch_keys);
        cr_expect_eq(json_integer_value(json_object_get(json_array_get(lines, i), "epoch")),
                     (json_int_t)i);
    }
    cr_expect(json_is_null(json_object_get(json_array_get(lines, 1), "test_accuracy")));
    json_decref(lines);
}

Test(train, a_log_that_cannot_be_written_is_an_error_at_the_start) {
    qn_fit_opts opts = small_opts();
    opts.log = scratch_path("no such folder/log");
    cr_expect_eq(fit(&opts), QN_IO_ERROR);
    expect_error(QN_IO_ERROR, "no such folder/log': No such file or directory");
}

/* ---- report --------------------------------------------------------------------------------- */

Test(train, report_is_whole_escaped_and_fetches_nothing) {
    qn_fit_opts opts = small_opts();
    opts.report = scratch_path("report");
    opts.title = "rows <b>&\"";
    opts.epochs = 1; /* some mistakes are left */
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    size_t size;
    char *page = scratch_read(scratch_path("report"), &size);
    expect_words(page, "<h1>rows &lt;b&gt;&amp;&quot;</h1>");
    expect_words(page, "&lt;top&gt;");
    expect_words(page, "rows &amp; noise");
    expect_words(page, "prefers-color-scheme:dark");
    expect_words(page, "<svg");
    expect_words(page, "recall");
    expect_words(page, "src=\"data:image/png;base64,iVBOR");
    expect_words(page, "batch_norm");
    expect_words(page, "</html>");
    static const char *const banned[] = {"http", "<script", "<link", "@import", "url(", "<b>&\""};
    for (size_t i = 0; i < sizeof banned / sizeof *banned; i++)
        cr_expect_null(strstr(page, banned[i]), "the page has %s", banned[i]);
    free(page);
    cr_expect_eq(scratch_files(false), 1);
}

Test(train, a_report_without_validation_still_has_its_charts) {
    qn_fit_opts opts = small_opts();
    opts.report = scratch_path("report");
    opts.validation = NULL;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    size_t size;
    char *page = scratch_read(scratch_path("report"), &size);
    expect_words(page, "<svg");
    cr_expect_null(strstr(page, "nan"));
    cr_expect_null(strstr(page, "recall"));
    free(page);
}
