/* test_outputs.c: what a run writes is looked at before its first step; nothing that is further on,
 * or somebody else's, is written over; a run goes on with its own model and data alone. */
#include "fit_task.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

TestSuite(outputs, .init = scratch_open, .fini = scratch_close);

/** Options whose files are in the test's folder. */
static qn_fit_opts opts_with(const char *save, const char *checkpoint) {
    qn_fit_opts opts = small_opts();
    opts.save = save ? scratch_path(save) : NULL;
    opts.checkpoint = checkpoint ? scratch_path(checkpoint) : NULL;
    return opts;
}

static int calls;
static qn_tensor *counted_loss(qn_tensor *prediction, qn_tensor *target) {
    calls++;
    return qn_cross_entropy(prediction, target);
}

/** The run is refused in these words, and no step was taken. */
static void expect_no_run(qn_fit_opts opts, qn_status status, const char *words) {
    opts.loss = counted_loss;
    calls = 0;
    cr_expect_neq(fit(&opts), QN_OK, "not refused: %s", words);
    expect_error(status, words);
    cr_expect_eq(calls, 0, "refused after %d steps: %s", calls, words);
}

/* ---- what is written ------------------------------------------------------------------------- */

Test(outputs, one_file_under_two_names_is_refused) {
    qn_fit_opts opts = opts_with("one", NULL);
    char other[300];
    snprintf(other, sizeof(other), "%s/./one", scratch_folder);
    opts.report = other;
    expect_no_run(opts, QN_INVALID_ARGUMENT, "cannot be both model and report");
    scratch_write("target", "", 0);
    cr_assert_eq(link(scratch_path("target"), scratch_path("hard")), 0);
    opts = opts_with("target", "hard");
    expect_no_run(opts, QN_INVALID_ARGUMENT, "cannot be both model and checkpoint");
    cr_assert_eq(symlink("target", scratch_path("soft")), 0);
    opts = opts_with("target", NULL);
    opts.log = scratch_path("soft");
    expect_no_run(opts, QN_INVALID_ARGUMENT, "cannot be both model and log");
}

Test(outputs, what_cannot_be_written_is_told_first) {
    qn_fit_opts opts = opts_with("no/model", NULL);
    expect_no_run(opts, QN_IO_ERROR, "cannot write the model");
    opts = opts_with("model", NULL);
    opts.settings = &(qn_metadata){"train", "caf\xe9.txt"};
    opts.settings_count = 1;
    expect_no_run(opts, QN_INVALID_ARGUMENT, "setting 0 (train) is not UTF-8");
}

/** Another process holds a file. */
static int hold(const char *name) {
    const int fd = open(scratch_path(name), O_RDWR | O_CREAT, 0666);
    cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
    return fd;
}

Test(outputs, two_runs_do_not_share_a_log_or_a_report) {
    scratch_write("log", "of another run\n", 15);
    const int log = hold("log"), report = hold("report");
    qn_fit_opts opts = opts_with("model", NULL);
    opts.log = scratch_path("log");
    expect_no_run(opts, QN_INVALID_ARGUMENT, "another run is writing");
    size_t size;
    free(scratch_read(scratch_path("log"), &size));
    cr_expect_eq(size, 15, "the other run's log was emptied");
    close(log);
    opts = opts_with("model", NULL);
    opts.report = scratch_path("report");
    expect_no_run(opts, QN_INVALID_ARGUMENT, "another run is writing");
    close(report);
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
}

Test(outputs, a_report_is_not_written_through_a_link_beside_it) {
    scratch_write("victim", "precious", 8);
    cr_assert_eq(symlink("victim", scratch_path("page.part")), 0);
    qn_fit_opts opts = opts_with("model", NULL);
    opts.report = scratch_path("page");
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    size_t size;
    char *victim = scratch_read(scratch_path("victim"), &size);
    cr_expect_str_eq(victim, "precious");
    free(victim);
}

Test(outputs, a_run_that_fails_leaves_no_empty_report) {
    qn_fit_opts opts = opts_with("model", NULL);
    opts.report = scratch_path("page");
    opts.optimizer = qn_sgd(1e30, 0); /* the loss runs away */
    opts.schedule = qn_schedule_constant();
    cr_assert_neq(fit(&opts), QN_OK);
    cr_expect_neq(access(scratch_path("page"), F_OK), 0);
}

/* ---- checkpoints of other runs --------------------------------------------------------------- */

/** Trains until a step and stops, with its state in "state". */
static void stop_after(int step) {
    qn_fit_opts opts = opts_with(NULL, "state");
    opts.loss = loss_then_stop;
    opts.stop = &stop_now;
    steps_left = step;
    stop_now = 0;
    cr_assert_eq(fit(&opts), QN_INTERRUPTED, "%s", qn_context_message(ctx));
    new_context();
}

Test(outputs, a_fresh_start_keeps_a_checkpoint_that_is_further_on) {
    stop_after(BATCHES + 2);
    char was[256];
    snprintf(was, sizeof(was), "%s/was", scratch_folder);
    cr_assert_eq(link(scratch_path("state"), was), 0);
    expect_no_run(opts_with(NULL, "state"), QN_INVALID_ARGUMENT,
                  "holds a run that is not finished (1 epochs, 8 steps): resume it");
    expect_same_files(was, scratch_path("state"));
}

Test(outputs, a_finished_run_may_be_followed_by_another) {
    for (int i = 0; i < 2; i++) {
        qn_fit_opts opts = opts_with(NULL, "state");
        cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
        new_context();
    }
}

Test(outputs, a_model_is_not_taken_for_a_checkpoint) {
    qn_fit_opts opts = opts_with("model", NULL);
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    new_context();
    expect_no_run(opts_with(NULL, "model"), QN_INVALID_ARGUMENT, "is no checkpoint");
}

/* ---- going on -------------------------------------------------------------------------------- */

/** The run that nothing disturbs, to "whole". */
static void run_whole(void) {
    qn_fit_opts opts = opts_with("whole", NULL);
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    new_context();
}

static void damage(const char *name, bool cut) {
    size_t size;
    char *bytes = scratch_read(scratch_path(name), &size);
    bytes[size - 40] ^= 1;
    unlink(scratch_path(name)); /* the generation before may be the same file */
    scratch_write(name, bytes, cut ? size / 2 : size);
    free(bytes);
}

Test(outputs, a_damaged_checkpoint_gives_way_to_the_one_before) {
    run_whole();
    for (int cut = 0; cut < 2; cut++) {
        stop_after(2 * BATCHES + 3);
        damage("state", cut);
        qn_fit_opts opts = opts_with("again", "state");
        opts.resume = opts.checkpoint;
        cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
        new_context();
        expect_same_files(scratch_path("whole"), scratch_path("again"));
        unlink(scratch_path("state"));
    }
}

Test(outputs, two_damaged_checkpoints_are_an_error_of_the_newer) {
    stop_after(BATCHES + 3);
    damage("state", false);
    damage("state.previous", true);
    qn_fit_opts opts = opts_with(NULL, NULL);
    opts.resume = scratch_path("state");
    expect_no_run(opts, QN_BAD_FORMAT, "it is damaged");
}

Test(outputs, a_fresh_start_forgets_the_generation_of_another_run) {
    qn_fit_opts opts = opts_with(NULL, "state");
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    new_context();
    cr_assert_eq(access(scratch_path("state.previous"), F_OK), 0);
    stop_after(1); /* one checkpoint at the start, one at the stop */
    damage("state", false);
    run_whole();
    opts = opts_with("again", "state");
    opts.resume = opts.checkpoint;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    expect_same_files(scratch_path("whole"), scratch_path("again"));
}

/* One that is killed has given the checkpoint a third name, perhaps, and the next takes it away,
 * also when it has but one checkpoint left to write. */
Test(outputs, the_name_between_two_generations_goes) {
    stop_after(2 * BATCHES + 3);
    char between[300];
    snprintf(between, sizeof(between), "%s.tmp", scratch_path("state.previous"));
    cr_assert_eq(link(scratch_path("state"), between), 0);
    qn_fit_opts opts = opts_with("again", "state");
    opts.resume = opts.checkpoint;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_neq(access(between, F_OK), 0);
    cr_expect_eq(access(scratch_path("state.previous"), F_OK), 0);
}

static qn_status get_other_sample(void *data, int64_t index, void *x, void *y) {
    return get_sample(data, index + 1, x, y);
}

Test(outputs, other_data_of_the_same_size_is_refused) {
    stop_after(BATCHES + 2);
    qn_fit_opts opts = opts_with(NULL, NULL);
    opts.resume = scratch_path("state");
    qn_dataset_desc desc = *qn_dataset_info(small_set(SAMPLES));
    desc.get = get_other_sample;
    cr_expect_neq(qn_fit(small_net(), qn_dataset_new(ctx, &desc), &opts), QN_OK);
    expect_error(QN_INVALID_ARGUMENT, "was made with other training data: 50 samples, checksum");
    desc.count = 30;
    opts.validation = qn_dataset_new(ctx, &desc);
    expect_no_run(opts, QN_INVALID_ARGUMENT, "was made with other validation data");
}

Test(outputs, another_model_and_other_files_are_told_by_their_names) {
    const qn_metadata was[] = {{"model", "lenet"}, {"data", "a.csv"}};
    const qn_metadata is[] = {{"model", "mlp"}, {"data", "a.csv"}};
    const qn_metadata moved[] = {{"model", "lenet"}, {"data", "b.csv"}};
    qn_fit_opts opts = opts_with(NULL, "state");
    opts.settings = was;
    opts.settings_count = 2;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    new_context();
    opts = opts_with(NULL, NULL);
    opts.resume = scratch_path("state");
    opts.settings = is;
    opts.settings_count = 2;
    opts.optimizer = qn_adam(0.02); /* which the program chose with the model */
    expect_no_run(opts, QN_INVALID_ARGUMENT, "was made with model lenet, not mlp");
    opts.settings = moved;
    opts.optimizer = qn_adam(0.01);
    qn_dataset_desc desc = *qn_dataset_info(small_set(SAMPLES));
    desc.get = get_other_sample;
    cr_expect_neq(qn_fit(small_net(), qn_dataset_new(ctx, &desc), &opts), QN_OK);
    expect_error(QN_INVALID_ARGUMENT, "other training data (data was a.csv, is b.csv)");
}
