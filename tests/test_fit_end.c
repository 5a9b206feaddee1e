/* test_fit_end.c: the end of a run: the best model put back, the test set, and what a program adds
 * to log and report; and targets that are no classes. */
#include <jansson.h>
#include <math.h>

#include "fit_task.h"

TestSuite(fit_end, .init = scratch_open, .fini = scratch_close);

/* The last line of "log", to be released. */
static json_t *last_line(void) {
    size_t size;
    char *text = scratch_read(scratch_path("log"), &size);
    cr_assert(size > 1 && text[size - 1] == '\n');
    text[size - 1] = '\0';
    char *line = strrchr(text, '\n');
    json_t *object = json_loads(line ? line + 1 : text, 0, NULL);
    cr_assert_not_null(object);
    cr_expect_str_eq(json_string_value(json_object_get(object, "event")), "done");
    free(text);
    return object;
}

static double number_of(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

/* ---- the best model ------------------------------------------------------------------------- */

enum { GOOD_STEPS = 2 * BATCHES };

static int64_t steps, last_step; /* of all sessions; where the session is to stop */

/* Goes uphill from the third epoch on, so that the best epoch is not the last. */
static qn_tensor *loss_that_turns(qn_tensor *prediction, qn_tensor *target) {
    qn_tensor *loss = qn_cross_entropy(prediction, target);
    bool training = qn_context_set_grad(ctx, true);
    qn_context_set_grad(ctx, training);
    if (!training)
        return loss;
    stop_now = ++steps == last_step;
    return steps > GOOD_STEPS ? qn_affine(loss, -3, 0) : loss;
}

static qn_fit_opts turning_opts(void) {
    qn_fit_opts opts = small_opts();
    opts.optimizer = qn_sgd(0.05, 0.9);
    opts.schedule = qn_schedule_constant();
    opts.loss = loss_that_turns;
    opts.eager = true; /* the loss is another one from some step on */
    opts.epochs = 5;
    opts.restore_best = true;
    opts.stop = &stop_now;
    return opts;
}

Test(fit_end, the_best_model_is_put_back_with_its_statistics) {
    char best[256];
    snprintf(best, sizeof(best), "%s", scratch_path("best"));
    qn_fit_result result;
    qn_fit_opts opts = turning_opts();
    opts.save = scratch_path("last");
    opts.save_best = best;
    opts.result = &result;
    qn_module *net = small_net();
    cr_assert_eq(qn_fit(net, small_set(SAMPLES), &opts), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_eq(result.epochs, 5);
    cr_expect_leq(result.best_epoch, 2);
    cr_expect_eq(result.validation.accuracy, result.best_accuracy);
    qn_metrics now = qn_evaluate(net, opts.validation, NULL, opts.eval_batch_size);
    cr_expect_eq(now.accuracy, result.best_accuracy);
    cr_expect_float_eq(now.loss, result.validation.loss, 1e-6);
    expect_same_files(best, scratch_path("last"));
}

/* Runs to the end from "state", if it is there, and saves to a file. */
static void run_turning(const char *name, bool resumes) {
    char state[256];
    snprintf(state, sizeof(state), "%s", scratch_path("state"));
    qn_fit_opts opts = turning_opts();
    opts.checkpoint = state;
    opts.resume = resumes ? state : NULL;
    opts.save = scratch_path(name);
    cr_assert_eq(fit(&opts), last_step ? QN_INTERRUPTED : QN_OK, "%s", qn_context_message(ctx));
    new_context();
}

Test(fit_end, the_best_model_survives_interruptions) {
    static const int stops[] = {5, GOOD_STEPS - 1, GOOD_STEPS + 3, 4 * BATCHES + 2};
    run_turning("whole", false);
    for (size_t i = 0; i < sizeof(stops) / sizeof(*stops); i++) {
        steps = 0;
        last_step = stops[i];
        run_turning("cut", false);
        last_step = 0;
        run_turning("again", true);
        expect_same_files(scratch_path("whole"), scratch_path("again"));
    }
}

Test(fit_end, restore_best_needs_validation_and_is_a_setting) {
    qn_fit(small_net(), small_set(9), &(qn_fit_opts){.restore_best = true});
    expect_error(QN_INVALID_ARGUMENT, "restore_best needs validation");
    qn_fit_opts opts = turning_opts();
    opts.epochs = 1;
    opts.checkpoint = scratch_path("state");
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    opts.resume = opts.checkpoint;
    opts.restore_best = false;
    cr_expect_neq(fit(&opts), QN_OK);
    expect_error(QN_INVALID_ARGUMENT, "was made with restore best 1, not 0");
}

/* ---- the test set and the program's own measures -------------------------------------------- */

Test(fit_end, the_test_set_is_evaluated_with_the_model_that_stays) {
    qn_fit_result result;
    qn_fit_opts opts = turning_opts();
    opts.test = qn_dataset_slice(small_set(SAMPLES), 3, 20);
    opts.log = scratch_path("log");
    opts.report = scratch_path("report");
    opts.result = &result;
    qn_module *net = small_net();
    cr_assert_eq(qn_fit(net, small_set(SAMPLES), &opts), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_eq(result.validation.samples, 30);
    cr_expect_eq(result.test.samples, 17);
    qn_metrics now = qn_evaluate(net, opts.test, NULL, 64);
    cr_expect_eq(result.test.accuracy, now.accuracy);
    cr_expect_eq(result.test.loss, now.loss);
    json_t *done = last_line();
    cr_expect_float_eq(number_of(done, "test_accuracy"), now.accuracy, 1e-9);
    cr_expect_float_eq(number_of(done, "test_loss"), now.loss, 1e-9);
    cr_expect_float_eq(number_of(done, "validation_accuracy"), result.validation.accuracy, 1e-9);
    cr_expect_float_eq(number_of(done, "validation_loss"), result.validation.loss, 1e-9);
    cr_expect_eq(number_of(done, "best_epoch"), result.best_epoch);
    json_decref(done);
    size_t size;
    char *text = scratch_read(scratch_path("log"), &size);
    expect_words(text, "\"validation_samples\": 30, \"test_samples\": 17");
    free(text);
    text = scratch_read(scratch_path("report"), &size);
    expect_words(text, "<th>validation loss</th>");
    expect_words(text, "bottom</td><td>5</td>"); /* of the test set's samples */
    expect_words(text, "<span>test accuracy</span>");
    expect_words(text, "<h2>Classes, test data</h2>");
    free(text);
}

static int evaluated; /* batches */

static qn_tensor *loss_that_counts(qn_tensor *prediction, qn_tensor *target) {
    const bool training = qn_context_set_grad(ctx, true);
    qn_context_set_grad(ctx, training);
    evaluated += !training;
    return qn_cross_entropy(prediction, target);
}

/* As examples do whose data have no validation part. */
Test(fit_end, one_set_for_both_is_told_as_both_and_not_evaluated_again) {
    qn_fit_result result;
    qn_fit_opts opts = small_opts();
    opts.test = opts.validation;
    opts.loss = loss_that_counts;
    opts.log = scratch_path("log");
    opts.result = &result;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_eq(evaluated, opts.epochs);
    cr_expect_eq(result.test.loss, result.validation.loss);
    cr_expect_eq(result.test.accuracy, result.validation.accuracy);
    json_t *done = last_line();
    cr_expect_float_eq(number_of(done, "test_loss"), result.validation.loss, 1e-9);
    json_decref(done);
}

static qn_status add_measures(qn_report *report, void *data) {
    static const char *const head[] = {"<class>", "F1"}, *const row[] = {"a & b", "0.5"};
    static const double actual[] = {1, 2, 3, 2}, forecast[] = {NAN, NAN, 2.5, 2.5};
    static const double low[] = {NAN, NAN, 2, 1.5}, high[] = {NAN, NAN, 3, 4};
    static const char *const points[] = {"mon", "tue", "<wed>", "thu"};
    const qn_fit_result *result = data;
    cr_expect_eq(result->epochs, 3);
    cr_expect(isfinite(result->validation.loss) && isnan(result->test.loss));
    qn_report_number(report, "test_mse", 0.375);
    qn_report_number(report, "test_mae", NAN);
    qn_report_number(report, "test_accuracy", 0.25);
    qn_report_section(report, "Each <one>");
    qn_report_table(report, 2, head);
    qn_report_row(report, 2, row);
    qn_report_table(report, 2, head);
    const qn_chart chart = {.title = "Best & worst",
                            .count = 4,
                            .points = points,
                            .lines = {{"actual", actual}, {"P50", forecast}},
                            .band = "P10 to P90",
                            .low = low,
                            .high = high};
    qn_report_chart(report, &chart);
    qn_report_chart(report, &chart);
    return qn_report_section(report, "Empty");
}

static int occurrences(const char *text, const char *words) {
    int count = 0;
    for (; (text = strstr(text, words)); text++)
        count++;
    return count;
}

Test(fit_end, a_program_adds_numbers_tables_and_charts) {
    qn_fit_result result;
    qn_fit_opts opts = small_opts();
    opts.log = scratch_path("log");
    opts.report = scratch_path("report");
    opts.result = &result;
    opts.finish = add_measures;
    opts.finish_data = &result;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    json_t *done = last_line();
    cr_expect_eq(number_of(done, "test_mse"), 0.375);
    cr_expect(json_is_null(json_object_get(done, "test_mae")));
    cr_expect_eq(number_of(done, "test_accuracy"), 0.25);
    json_decref(done);
    size_t size;
    char *page = scratch_read(scratch_path("report"), &size);
    expect_words(page, "<b>0.375</b><span>test mse</span>");
    expect_words(page, "<h2>Each &lt;one&gt;</h2>");
    expect_words(page, "<tr><th>&lt;class&gt;</th><th>F1</th></tr>\n<tr><td>a &amp; b</td>");
    expect_words(page, "&lt;wed&gt;</text>");
    expect_words(page, "Best &amp; worst");
    expect_words(page, "<h2>Empty</h2>\n</section>");
    cr_expect_eq(occurrences(page, "<polygon class=\"band\""), 2);
    cr_expect_null(strstr(page, "nan"));
    static const char *const pairs[][2] = {
        {"<section", "</section>"}, {"<div", "</div>"}, {"<table", "</table>"}, {"<tr", "</tr>"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
        cr_expect_eq(occurrences(page, pairs[i][0]), occurrences(page, pairs[i][1]));
    free(page);
}

static qn_status fail_at_the_end(qn_report *report, void *data) {
    (void)data;
    static const char *const cells[] = {"lost"};
    return qn_report_row(report, 1, cells);
}

Test(fit_end, a_failure_of_the_programs_end_is_the_runs) {
    qn_fit_opts opts = small_opts();
    opts.finish = fail_at_the_end;
    cr_expect_eq(fit(&opts), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "report: a row without a table");
}

/* ---- samples in words ----------------------------------------------------------------------- */

static void describe_sample(void *data, int64_t index, char *text, size_t size) {
    (void)data;
    snprintf(text, size, "<words> of sample %lld", (long long)index);
}

Test(fit_end, mistakes_are_shown_in_words_where_there_are_words) {
    qn_dataset_desc desc = *qn_dataset_info(small_set(SAMPLES));
    desc.describe = describe_sample;
    qn_fit_opts opts = small_opts();
    opts.validation = qn_dataset_slice(qn_dataset_new(ctx, &desc), 10, 40);
    opts.epochs = 1; /* some mistakes are left */
    opts.report = scratch_path("report");
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    size_t size;
    char *page = scratch_read(scratch_path("report"), &size);
    expect_words(page, "&lt;words&gt; of sample ");
    cr_expect_null(strstr(page, "<img"));
    free(page);
}

/* ---- targets that are no classes ------------------------------------------------------------ */

enum { LOOK_BACK = 6, HORIZON = 2, CHANNELS = 3 };

/* A window of waves, and what comes after it. */
static qn_status get_window(void *data, int64_t index, void *x, void *y) {
    (void)data;
    for (int64_t t = 0; t < LOOK_BACK + HORIZON; t++)
        for (int64_t c = 0; c < CHANNELS; c++) {
            float value = (float)sin(0.7 * (double)(index + t) + (double)c);
            if (t < LOOK_BACK)
                ((float *)x)[t * CHANNELS + c] = value;
            else
                ((float *)y)[(t - LOOK_BACK) * CHANNELS + c] = value;
        }
    return QN_OK;
}

static qn_tensor *to_windows(qn_tensor *x) {
    return qn_reshape(x, QN_SHAPE(-1, HORIZON, CHANNELS));
}

/* Any of three labels: the first for an even index, the second for a third, the last for none. */
static qn_status get_labelled(void *data, int64_t index, void *x, void *y) {
    (void)data;
    for (int64_t i = 0; i < LOOK_BACK; i++)
        ((float *)x)[i] = (float)(index % (i + 2) == 0);
    for (int64_t i = 0; i < 3; i++)
        ((float *)y)[i] = i < 2 && index % (i + 2) == 0;
    return QN_OK;
}

/* Trains a linear layer with log and report, and has nothing said of an accuracy. */
static void expect_no_accuracy(const qn_dataset_desc *desc, qn_loss_fn loss, qn_module *net) {
    qn_fit_result result;
    qn_dataset *set = qn_dataset_new(ctx, desc);
    qn_fit_opts opts = {.optimizer = qn_adam(0.02),
                        .loss = loss,
                        .epochs = 40,
                        .batch_size = 16,
                        .validation = set,
                        .restore_best = true,
                        .early_stop = 3,
                        .log = scratch_path("log"),
                        .report = scratch_path("report"),
                        .result = &result};
    cr_assert_eq(qn_fit(net, set, &opts), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_lt(result.validation.loss, 0.4);
    cr_expect(isnan(result.test.accuracy) && isnan(result.best_accuracy));
    cr_expect_float_eq(qn_evaluate(net, set, loss, 16).loss, result.validation.loss, 1e-6);
    json_t *done = last_line();
    cr_expect(json_is_null(json_object_get(done, "test_accuracy")));
    cr_expect_float_eq(number_of(done, "validation_loss"), result.validation.loss, 1e-9);
    cr_expect_float_eq(number_of(done, "test_loss"), result.validation.loss, 1e-9); /* as before */
    json_decref(done);
    size_t size;
    char *page = scratch_read(scratch_path("report"), &size);
    expect_words(page, "<th>validation loss</th>");
    expect_words(page, "<span>validation loss</span>");
    cr_expect_null(strstr(page, "test"));
    static const char *const absent[] = {"accuracy", "recall", "nan", "mistakes"};
    for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++)
        cr_expect_null(strstr(page, absent[i]), "the page has '%s'", absent[i]);
    free(page);
}

Test(fit_end, windows_of_series_are_learnt) {
    qn_module *net = qn_nn_sequential(
        ctx, qn_nn_flatten(ctx), qn_nn_linear(ctx, LOOK_BACK * CHANNELS, HORIZON * CHANNELS, NULL),
        qn_nn_function(ctx, "windows", to_windows), NULL);
    expect_no_accuracy(&(qn_dataset_desc){.count = 80,
                                          .x_shape = QN_SHAPE(LOOK_BACK, CHANNELS),
                                          .y_shape = QN_SHAPE(HORIZON, CHANNELS),
                                          .get = get_window},
                       qn_mse, net);
}

Test(fit_end, several_labels_a_sample_are_learnt) {
    expect_no_accuracy(&(qn_dataset_desc){.count = 80,
                                          .x_shape = QN_SHAPE(LOOK_BACK),
                                          .y_shape = QN_SHAPE(3),
                                          .classes = 3,
                                          .get = get_labelled},
                       qn_bce_with_logits, qn_nn_linear(ctx, LOOK_BACK, 3, NULL));
}

/* 50 samples in batches of 7 leave one: of it alone batch norm over features has no variance. */
Test(fit_end, a_last_batch_of_one_sample_can_be_left_out) {
    qn_fit_opts opts = {.epochs = 1, .batch_size = 7};
    for (int drop = 0; drop < 2; drop++) {
        qn_module *net =
            qn_nn_sequential(ctx, qn_nn_flatten(ctx), qn_nn_batch_norm(ctx, SIDE * SIDE, NULL),
                             qn_nn_linear(ctx, SIDE * SIDE, CLASSES, NULL), NULL);
        opts.drop_last = drop;
        const qn_status status = qn_fit(net, small_set(SAMPLES), &opts);
        cr_expect_eq(status, drop ? QN_OK : QN_INVALID_ARGUMENT, "%s", qn_context_message(ctx));
        if (!drop)
            expect_error(QN_INVALID_ARGUMENT,
                         "in the last batch of the epoch, of 1 sample: drop_last");
    }
}
