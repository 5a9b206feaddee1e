/* test_resume.c: checkpoints, interruption, and that a resumed run ends as if nothing had been. */
#include <signal.h>
#include <sys/wait.h>

#include "fit_task.h"
#include "test_device.h"

TestSuite(resume, .init = scratch_open, .fini = scratch_close);

static int sent = SIGINT, sent_again; /* 0: no second one */

static qn_status count_then_interrupt(void *data) {
    (void)data;
    if (--steps_left == 0) {
        raise(sent);
        if (sent_again)
            raise(sent_again);
    }
    return QN_OK;
}

static qn_tensor *loss_then_interrupt(qn_tensor *prediction, qn_tensor *target) {
    qn_host_call(ctx, count_then_interrupt, NULL);
    return qn_cross_entropy(prediction, target);
}

static qn_status count_then_kill(void *data) {
    (void)data;
    if (--steps_left == 0)
        raise(SIGKILL);
    return QN_OK;
}

static qn_tensor *loss_then_kill(qn_tensor *prediction, qn_tensor *target) {
    qn_host_call(ctx, count_then_kill, NULL);
    return qn_cross_entropy(prediction, target);
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
    snprintf(state, sizeof(state), "%s", scratch_path("state"));
    qn_fit_opts opts = small_opts();
    opts.resume = opts.checkpoint = state;
    opts.save = scratch_path("again");
    qn_fit_result result;
    opts.result = &result;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_eq(result.train_loss, whole_loss);
}

Test(resume, resumed_anywhere_ends_with_the_same_bits) {
    static const int stops[] = {1, 4, BATCHES, BATCHES + 1, 2 * BATCHES + 3};
    run_whole();
    for (size_t i = 0; i < sizeof(stops) / sizeof(*stops); i++) {
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

Test(resume, a_plateau_schedule_is_resumed_too) {
    char state[256];
    snprintf(state, sizeof(state), "%s", scratch_path("state"));
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
        ctx = qn_context_new(test_device());
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
Test(resume, killed_and_resumed_ends_with_the_same_bits) {
    static const int kills[] = {1, 6, 12};
    enum { KILLS = sizeof(kills) / sizeof(*kills) };
    char state[256], kept[KILLS][256];
    snprintf(state, sizeof(state), "%s", scratch_path("state"));
    for (int i = 0; i < KILLS; i++) {
        run_killed(kills[i]);
        snprintf(kept[i], sizeof(kept[i]), "%s/kept%d", scratch_folder, i);
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

Test(resume, resuming_with_other_settings_is_refused_by_name) {
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
    expect_error(QN_SHAPE_MISMATCH, "was made with another model or optimizer");
}

Test(resume, resuming_from_something_else_is_refused) {
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

/* Every signal that asks to end; what a finished run left at `save` stays. */
Test(resume, a_stopped_run_leaves_the_model_of_a_finished_one) {
    static const int asked[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++)
        signal(asked[i],
               SIG_DFL); /* whatever this runs under (nohup ignores SIGHUP, and so would it) */
    run_whole();
    char good[300];
    snprintf(good, sizeof(good), "%s/good", scratch_folder);
    cr_assert_eq(link(scratch_path("whole"), good), 0);
    for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++)
        for (int state = 0; state < 2; state++) {
            qn_fit_result result;
            qn_fit_opts opts = small_opts();
            opts.save = scratch_path("whole");
            opts.checkpoint = state ? scratch_path("state") : NULL;
            opts.handle_interrupt = true;
            opts.loss = loss_then_interrupt;
            opts.result = &result;
            sent = asked[i];
            steps_left = 5;
            cr_assert_eq(fit(&opts), QN_INTERRUPTED, "%s", qn_context_message(ctx));
            cr_expect_eq(result.signal, asked[i]);
            expect_same_files(scratch_path("whole"), good);
            cr_expect_eq(access(scratch_path("whole.interrupted"), F_OK), state ? -1 : 0);
            unlink(scratch_path("whole.interrupted"));
            unlink(scratch_path("state"));
            new_context();
        }
}

Test(resume, a_second_signal_ends_the_program) {
    const pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        ctx = qn_context_new(test_device());
        qn_fit_opts opts = small_opts();
        opts.handle_interrupt = true;
        opts.loss = loss_then_interrupt;
        sent = SIGTERM;
        sent_again = SIGINT;
        steps_left = 2;
        fit(&opts);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT, "status %x", (unsigned)status);
}

Test(resume, ctrl_c_finishes_the_batch_and_gives_the_handler_back) {
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
