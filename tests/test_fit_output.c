/* test_fit_output.c: what a run shows and leaves: progress, log, report. */
#include <fcntl.h>
#include <jansson.h>
#include <pty.h>
#include <sys/resource.h>

#include "fit_task.h"

TestSuite(fit_output, .init = scratch_open, .fini = scratch_close);

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

Test(fit_output, without_a_terminal_progress_is_a_plain_line_an_epoch) {
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
    expect_words(text, "  validation loss ");
    expect_words(text, "  validation accuracy ");
    cr_expect_null(strstr(text, "test"));
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

Test(fit_output, a_terminal_shows_a_bar_in_colour) {
    unsetenv("NO_COLOR");
    char *text = terminal_output("C");
    expect_words(text, "\r\033[Kepoch 1/3 \033[32m");
    expect_words(text, " samples/s  0:0");
    expect_words(text, "....");
    free(text);
}

Test(fit_output, no_color_is_respected) {
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
    while (fgets(line, sizeof(line), file)) {
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
    "event",     "epoch",         "train_loss",    "validation_loss",    "validation_accuracy",
    "test_loss", "test_accuracy", "learning_rate", "samples_per_second", "seconds",
    NULL};
static const char *const done_keys[] = {"event",
                                        "test_accuracy",
                                        "test_loss",
                                        "validation_accuracy",
                                        "validation_loss",
                                        "epochs",
                                        "best_epoch",
                                        "seconds",
                                        "samples_per_second",
                                        "peak_rss_mb",
                                        "parameters",
                                        "device",
                                        "threads",
                                        NULL};

static double number_of(const json_t *line, const char *key) {
    return json_number_value(json_object_get(line, key));
}

static const char *event(const json_t *lines, size_t line) {
    return json_string_value(json_object_get(json_array_get(lines, line), "event"));
}

Test(fit_output, log_has_the_promised_keys) {
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
        double accuracy = number_of(line, "validation_accuracy");
        cr_expect(accuracy >= 0 && accuracy <= 1);
        cr_expect_eq(number_of(line, "test_accuracy"), accuracy); /* the old names */
        cr_expect_eq(number_of(line, "test_loss"), number_of(line, "validation_loss"));
        cr_expect(number_of(line, "learning_rate") > 0);
    }
    const json_t *done = json_array_get(lines, 4);
    cr_expect_str_eq(event(lines, 4), "done");
    expect_keys(done, done_keys);
    cr_expect_eq(json_integer_value(json_object_get(done, "epochs")), 3);
    cr_expect_str_eq(json_string_value(json_object_get(done, "device")), qn_context_device(ctx));
    json_decref(lines);
}

Test(fit_output, a_resumed_log_tells_each_epoch_once) {
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
    cr_expect(json_is_null(json_object_get(json_array_get(lines, 1), "validation_accuracy")));
    json_decref(lines);
}

Test(fit_output, a_log_that_cannot_be_written_is_an_error_at_the_start) {
    qn_fit_opts opts = small_opts();
    opts.log = scratch_path("no such folder/log");
    cr_expect_eq(fit(&opts), QN_IO_ERROR);
    expect_error(QN_IO_ERROR, "no such folder/log': No such file or directory");
}

/* ---- report --------------------------------------------------------------------------------- */

/* The system then raises SIGXFSZ, which would end the program. */
Test(fit_output, a_log_that_reaches_the_limit_of_files_is_an_error) {
    qn_fit_opts opts = small_opts();
    opts.log = scratch_path("log");
    struct rlimit before, small;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    const qn_status status = fit(&opts);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_expect_eq(status, QN_IO_ERROR);
    expect_error(QN_IO_ERROR, "File too large");
}

Test(fit_output, report_is_whole_escaped_and_fetches_nothing) {
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
    for (size_t i = 0; i < sizeof(banned) / sizeof(*banned); i++)
        cr_expect_null(strstr(page, banned[i]), "the page has %s", banned[i]);
    free(page);
    cr_expect_eq(scratch_files(false), 1);
}

Test(fit_output, a_report_without_validation_still_has_its_charts) {
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
