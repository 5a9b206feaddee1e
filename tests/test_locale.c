/* test_locale.c: a program that has set a locale with decimal commas, or the Turkish one, in which
 * I is not the capital of i, reads and writes the same files as any other. */
#include "fit_task.h"

#include <fcntl.h>
#include <locale.h>
#include <sys/wait.h>

TestSuite(locale, .init = scratch_open, .fini = scratch_close);

/** Makes a locale in the test's folder and sets it; skips the test where that cannot be. */
static void set_locale(const char *name) {
    char command[600];
    snprintf(command, sizeof(command), "localedef -i %s -f UTF-8 %s/%s.UTF-8 > /dev/null 2>&1",
             name, scratch_folder, name);
    if (system(command) == -1)
        cr_skip_test("no shell");
    setenv("LOCPATH", scratch_folder, 1);
    snprintf(command, sizeof(command), "%s.UTF-8", name);
    if (!setlocale(LC_ALL, command))
        cr_skip_test("no localedef, or no description of a locale, here (package locales)");
}

static void remove_locales(void) {
    char command[600];
    setlocale(LC_ALL, "C");
    snprintf(command, sizeof(command), "rm -rf %s/*.UTF-8", scratch_folder);
    cr_expect_eq(system(command), 0);
}

/** A run with a checkpoint; what it writes, of what does not depend on the time, goes to `name`. */
static void train(const char *name, bool resumed) {
    char state[300];
    snprintf(state, sizeof(state), "%s/state", scratch_folder);
    qn_fit_opts opts = small_opts();
    opts.optimizer = qn_adam(0.0125);
    opts.schedule = qn_schedule_plateau(0.5, 0);
    opts.epochs = resumed ? 4 : 2;
    opts.save = scratch_path(name);
    opts.checkpoint = state;
    opts.resume = resumed ? state : NULL;
    opts.log = scratch_path("log");
    opts.report = scratch_path("page");
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    new_context();
}

static void expect_in_file(const char *name, const char *words, bool there) {
    size_t size;
    char *text = scratch_read(scratch_path(name), &size);
    cr_expect_eq(strstr(text, words) != NULL, there, "%s: \"%s\"", name, words);
    free(text);
}

Test(locale, training_is_saved_logged_and_resumed) {
    train("whole", false);
    train("whole", true);
    set_locale("de_DE");
    train("again", false);
    setlocale(LC_ALL, "C");
    train("again", true); /* in another locale than the checkpoint was written in */
    expect_same_files(scratch_path("whole"), scratch_path("again"));
    setlocale(LC_ALL, "de_DE.UTF-8");
    train("again", false);
    expect_in_file("page", "0,0125", false);
    expect_in_file("page", "0.0125", true);
    expect_in_file("log", "0.0125", true);
    char text[16];
    snprintf(text, sizeof(text), "%.1f", 0.5); /* the program's own stays what it was */
    cr_expect_str_eq(text, "0,5");
    remove_locales();
}

Test(locale, series_are_read_and_tensors_printed) {
    static const char csv[] = "date,y\n2021-01-01,0.5\n2021-01-02,1.5\n2021-01-03,2.5e-1\n";
    set_locale("de_DE");
    qn_series *series = qn_series_open(ctx, scratch_write("s.csv", csv, sizeof(csv) - 1), NULL);
    cr_assert_not_null(series, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_series_value(series, 0, 1), 1.5);
    cr_expect_eq(qn_series_value(series, 0, 2), 0.25);
    FILE *out = fopen(scratch_path("print"), "w");
    qn_tensor_print(qn_full(ctx, QN_F32, QN_SHAPE(2), 0.25), out);
    fclose(out);
    expect_in_file("print", "0.25", true);
    qn_dropout(qn_ones(ctx, QN_F32, QN_SHAPE(2)), 1.5, true);
    cr_expect(strstr(qn_context_message(ctx), "1.5"), "%s", qn_context_message(ctx));
    qn_context_clear_error(ctx);
    remove_locales();
}

Test(locale, names_match_whatever_their_case_in_turkish) {
    static const char texts[] = "INTENT,TITLE\nA,x\nB,y\n";
    static const char items[] = "ITEM_ID,TIMESTAMP,DEMAND\na,2020-01-01,1\na,2020-01-02,2\n";
    set_locale("tr_TR");
    qn_corpus *corpus = qn_corpus_open(ctx, scratch_write("texts", texts, sizeof(texts) - 1), NULL);
    cr_assert_not_null(corpus, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_corpus_classes(corpus), 2);
    qn_series *series = qn_series_open(ctx, scratch_write("items", items, sizeof(items) - 1), NULL);
    cr_assert_not_null(series, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_series_info(series).format, QN_SERIES_ITEMS);
    remove_locales();
}
