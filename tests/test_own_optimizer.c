/* test_own_optimizer.c: optimizers and schedules as rows: the library's, and those of a program. */
#include <math.h>

#include "fit_task.h"

TestSuite(own_optimizer, .init = scratch_open, .fini = scratch_close);

/* ---- the library's -------------------------------------------------------------------------- */

Test(own_optimizer, every_row_is_found_and_its_defaults_are_fine) {
    const qn_optimizer_kind *kind;
    int count = 0;
    for (; (kind = qn_optimizer_kind_at(count)); count++) {
        cr_expect_eq(qn_optimizer_find(kind->name), kind);
        qn_optimizer *made = qn_optimizer_new(small_net(), qn_optimizer_defaults(kind));
        cr_assert_not_null(made, "%s: %s", kind->name, qn_context_message(ctx));
        cr_expect_eq(qn_optimizer_settings(made)->kind, kind);
        cr_expect_eq(qn_optimizer_lr(made), kind->lr);
    }
    cr_expect_geq(count, 5);
    cr_expect_null(qn_optimizer_kind_at(-1));
    cr_expect_null(qn_optimizer_find("none"));
    cr_expect_null(qn_optimizer_find(NULL));
    cr_expect_eq(qn_adamw(1, 0.5).kind, qn_optimizer_find("adamw"));
}

Test(own_optimizer, every_schedule_is_found_and_its_defaults_are_fine) {
    const qn_schedule_kind *kind;
    qn_optimizer *optimizer = qn_optimizer_new(small_net(), qn_adam(1));
    int count = 0;
    for (; (kind = qn_schedule_kind_at(count)); count++) {
        cr_expect_eq(qn_schedule_find(kind->name), kind);
        cr_expect_not_null(qn_scheduler_new(optimizer, qn_schedule_defaults(kind), 3, 2), "%s: %s",
                           kind->name, qn_context_message(ctx));
    }
    cr_expect_geq(count, 5);
    cr_expect_null(qn_schedule_find("none"));
}

/* What a list of settings says is what is checked: each number that is no number is refused, under
 * its name. */
Test(own_optimizer, each_setting_is_checked_by_its_name) {
    const qn_setting *setting;
    for (int k = 0; qn_optimizer_kind_at(k); k++)
        for (int i = 0; (setting = qn_optimizer_setting(qn_optimizer_kind_at(k), i)); i++) {
            qn_optimizer_spec spec = qn_optimizer_defaults(qn_optimizer_kind_at(k));
            if (setting->limit == QN_LIMIT_FLAG)
                continue;
            *(double *)((char *)&spec + setting->offset) = NAN;
            cr_expect(isnan(qn_setting_value(setting, &spec)));
            cr_expect_null(qn_optimizer_new(small_net(), spec));
            char words[80];
            snprintf(words, sizeof(words), "%s: %s must be", spec.kind->name, setting->name);
            expect_error(QN_INVALID_ARGUMENT, words);
        }
}

/* ---- one of a program ----------------------------------------------------------------------- */

/* m = smoothing m + (1 - smoothing) g; p -= lr sign(m). */
static qn_status smooth_sign_step(const qn_optimizer_move *move) {
    const double smoothing = move->spec->own[0];
    qn_tensor *lr = qn_slice(move->hyper, 0, QN_HYPER_LR, QN_HYPER_LR + 1);
    qn_tensor *m = move->state[0];
    qn_status status =
        qn_copy(m, qn_add(qn_affine(m, smoothing, 0), qn_affine(move->grad, 1 - smoothing, 0)));
    if (status == QN_OK)
        status = qn_copy(move->p, qn_sub(move->p, qn_mul(qn_sign(m), lr)));
    return status;
}

static const qn_setting smooth_sign_settings[] = {
    {.name = "smoothing",
     .offset = offsetof(qn_optimizer_spec, own[0]),
     .otherwise = 0.875,
     .limit = QN_LIMIT_BELOW_ONE},
    {0},
};

static const qn_optimizer_kind smooth_sign = {
    .name = "smooth_sign",
    .lr = 1.0 / 64,
    .settings = smooth_sign_settings,
    .state = {"smooth_grad"},
    .step = smooth_sign_step,
};

/* Falls by half a lifetime, and with it what `metric` has counted. */
static double fading_rate(const qn_schedule *schedule, const qn_schedule_moment *now) {
    return pow(schedule->factor, (double)now->step / (double)now->steps) / (1 + now->state.waited);
}

static void fading_metric(const qn_schedule *schedule, qn_scheduler_state *state, double value) {
    (void)schedule;
    (void)value;
    state->waited++;
}

static const qn_setting fading_settings[] = {
    {.name = "factor",
     .offset = offsetof(qn_schedule, factor),
     .otherwise = 0.5,
     .limit = QN_LIMIT_FRACTION},
    {0},
};

static const qn_schedule_kind fading = {
    .name = "fading",
    .settings = fading_settings,
    .whole_run = true,
    .rate = fading_rate,
    .metric = fading_metric,
};

static qn_fit_opts own_opts(void) {
    qn_fit_opts opts = small_opts();
    opts.optimizer = qn_optimizer_defaults(&smooth_sign);
    opts.schedule = qn_schedule_defaults(&fading);
    return opts;
}

static qn_tensor *no_forward(qn_module *self, qn_tensor *x) {
    (void)self;
    return x;
}

Test(own_optimizer, follows_its_formula) {
    const float grads[][2] = {{8, -16}, {-32, 16}};
    double p[2] = {1, 2}, m[2] = {0, 0};
    qn_module *module = qn_module_new(ctx, "holder", no_forward, NULL, NULL);
    qn_tensor *w = qn_module_add_parameter(module, "w",
                                           qn_from_data(ctx, QN_F32, QN_SHAPE(2), (float[]){1, 2}));
    qn_optimizer *optimizer = qn_optimizer_new(module, qn_optimizer_defaults(&smooth_sign));
    cr_assert_not_null(optimizer, "%s", qn_context_message(ctx));
    cr_expect_str_eq(qn_optimizer_tensor(optimizer, 0).name, "smooth_grad");
    cr_expect_eq(qn_optimizer_tensor_count(optimizer), 1);
    for (int step = 0; step < 2; step++) {
        qn_tensor *g = qn_from_data(ctx, QN_F32, QN_SHAPE(2), grads[step]);
        cr_assert_eq(qn_backward(qn_sum(qn_mul(w, g), QN_ALL, false)), QN_OK);
        cr_assert_eq(qn_optimizer_step(optimizer), QN_OK, "%s", qn_context_message(ctx));
        qn_step_end(ctx);
        float now[2];
        cr_assert_eq(qn_tensor_read(w, now, sizeof(now)), QN_OK);
        for (int i = 0; i < 2; i++) {
            m[i] = 0.875 * m[i] + 0.125 * grads[step][i];
            p[i] -= (m[i] > 0 ? 1 : -1) / 64.0;
            cr_expect_eq(now[i], p[i], "step %d, element %d: %g, not %g", step, i, now[i], p[i]);
        }
    }
}

/* Trains to `name`, with changes that the caller made. */
static void train_to(qn_fit_opts opts, const char *name, qn_status expected) {
    opts.save = scratch_path(name);
    cr_assert_eq(fit(&opts), expected, "%s", qn_context_message(ctx));
    new_context();
}

Test(own_optimizer, trains_by_plan_and_without_to_the_same_bits) {
    qn_fit_result result;
    qn_fit_opts opts = own_opts();
    opts.result = &result;
    opts.epochs = 6;
    train_to(opts, "plan", QN_OK);
    cr_expect_geq(result.validation.accuracy, 0.9);
    opts = own_opts();
    opts.epochs = 6;
    opts.eager = true;
    train_to(opts, "eager", QN_OK);
    expect_same_files(scratch_path("plan"), scratch_path("eager"));
}

Test(own_optimizer, is_resumed_to_the_bit) {
    static const int stops[] = {1, BATCHES, BATCHES + 3};
    train_to(own_opts(), "whole", QN_OK);
    for (size_t i = 0; i < sizeof(stops) / sizeof(*stops); i++) {
        char state[256];
        snprintf(state, sizeof(state), "%s", scratch_path("state"));
        qn_fit_opts opts = own_opts();
        opts.checkpoint = state;
        opts.loss = loss_then_stop;
        opts.stop = &stop_now;
        steps_left = stops[i];
        stop_now = 0;
        train_to(opts, "stopped", QN_INTERRUPTED);
        opts = own_opts();
        opts.resume = opts.checkpoint = state;
        train_to(opts, "again", QN_OK);
        expect_same_files(scratch_path("whole"), scratch_path("again"));
    }
}

static void expect_not_resumed(qn_fit_opts opts, const char *words) {
    opts.resume = scratch_path("state");
    cr_expect_eq(fit(&opts), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, words);
}

Test(own_optimizer, a_checkpoint_knows_it_and_its_settings) {
    qn_fit_opts opts = own_opts();
    opts.checkpoint = scratch_path("state");
    opts.log = scratch_path("log");
    train_to(opts, "whole", QN_OK);
    size_t size;
    char *log = scratch_read(scratch_path("log"), &size);
    expect_words(log, "\"optimizer\": \"smooth_sign\"");
    expect_words(log, "\"smoothing\": \"0.875\"");
    expect_words(log, "\"schedule\": \"fading\"");
    free(log);
    opts = own_opts();
    opts.optimizer.own[0] = 0.5;
    expect_not_resumed(opts, "was made with smoothing 0.875, not 0.5");
    opts = own_opts();
    opts.optimizer = qn_adam(1.0 / 64);
    expect_not_resumed(opts, "was made with optimizer smooth_sign, not adam");
    opts = own_opts();
    opts.schedule.factor = 0.25;
    expect_not_resumed(opts, "was made with factor 0.5, not 0.25");
    opts = own_opts();
    opts.schedule = qn_schedule_cosine(0);
    expect_not_resumed(opts, "was made with schedule fading, not cosine");
    opts = own_opts();
    opts.epochs++;
    expect_not_resumed(opts, "was made with schedule epochs 3, not 4");
}

Test(own_optimizer, is_not_asked_for_what_it_does_not_do) {
    qn_fit_opts opts = own_opts();
    opts.optimizer.clip_norm = 1;
    cr_expect_eq(fit(&opts), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "smooth_sign: clip_norm needs a step that scales gradients");
    opts.optimizer = (qn_optimizer_spec){.kind = &smooth_sign, .lr = 0.1, .own = {1.5}};
    cr_expect_eq(fit(&opts), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "smooth_sign: smoothing must be in [0, 1), got 1.5");
    opts.optimizer = (qn_optimizer_spec){.lr = 0.1};
    cr_expect_eq(fit(&opts), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "optimizer: no kind is given");
    qn_module *bag =
        qn_nn_embedding_bag(ctx, 9, 2, QN_BAG_MEAN, &(qn_embedding_opts){.sparse = true});
    cr_assert_not_null(bag, "%s", qn_context_message(ctx));
    cr_expect_null(qn_optimizer_new(bag, qn_optimizer_defaults(&smooth_sign)));
    expect_error(QN_INVALID_ARGUMENT, "smooth_sign: 'weight' has a sparse gradient");
}

static qn_status refusing_step(const qn_optimizer_move *move) {
    (void)move;
    return (qn_status)77;
}

static qn_status careless_step(const qn_optimizer_move *move) {
    qn_copy(move->p, qn_matmul(move->p, move->grad));
    return QN_OK;
}

static qn_status refuse_all(qn_context *context, const qn_optimizer_spec *spec) {
    (void)context;
    (void)spec;
    return QN_UNSUPPORTED;
}

static double no_rate(const qn_schedule *schedule, const qn_schedule_moment *now) {
    (void)schedule;
    return now->step < 3 ? 1 : NAN;
}

/* Whatever a program's functions give is an error that names its row. */
Test(own_optimizer, failures_of_its_functions_are_told) {
    const qn_optimizer_kind refusing = {.name = "refusing", .lr = 1, .step = refusing_step},
                            careless = {.name = "careless", .lr = 1, .step = careless_step},
                            choosy = {.name = "choosy",
                                      .lr = 1,
                                      .step = careless_step,
                                      .check = refuse_all};
    qn_fit_opts opts = small_opts();
    opts.optimizer = qn_optimizer_defaults(&refusing);
    cr_expect_eq(fit(&opts), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "refusing: its step failed");
    opts.optimizer = qn_optimizer_defaults(&careless);
    cr_expect_eq(fit(&opts), QN_SHAPE_MISMATCH);
    expect_error(QN_SHAPE_MISMATCH, "matmul");
    opts.optimizer = qn_optimizer_defaults(&choosy);
    cr_expect_eq(fit(&opts), QN_UNSUPPORTED);
    expect_error(QN_UNSUPPORTED, "choosy: its settings do not go together");
    const qn_schedule_kind lost = {.name = "lost", .rate = no_rate};
    opts = small_opts();
    opts.schedule = qn_schedule_defaults(&lost);
    cr_expect_eq(fit(&opts), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "lr must be at least 0, got nan");
}

/* p -= lr g in the rows seen. */
static qn_status rows_step(const qn_optimizer_move *move) {
    qn_tensor *lr = qn_slice(move->hyper, 0, QN_HYPER_LR, QN_HYPER_LR + 1);
    qn_tensor *moved = qn_sub(move->p, qn_mul(move->grad, lr));
    return qn_copy(move->p, move->seen ? qn_where(move->seen, moved, move->p) : moved);
}

static const qn_optimizer_kind rows = {
    .name = "rows", .lr = 0.5, .step = rows_step, .sparse = true};

/* A table that needs a gradient is itself what moves: the tape is off meanwhile. */
Test(own_optimizer, moves_rows_as_the_library_does) {
    float tables[2][8];
    const int64_t at[] = {1, 3, 1};
    for (int own = 0; own < 2; own++) {
        qn_context_seed(ctx, 3);
        qn_module *bag = qn_nn_embedding(ctx, 4, 2, &(qn_embedding_opts){.sparse = true});
        qn_optimizer *optimizer =
            qn_optimizer_new(bag, own ? qn_optimizer_defaults(&rows) : qn_sgd(0.5, 0));
        cr_assert_not_null(optimizer, "%s", qn_context_message(ctx));
        for (int step = 0; step < 2; step++) {
            qn_tensor *y = qn_forward(bag, qn_from_data(ctx, QN_I64, QN_SHAPE(3), at));
            cr_assert_eq(qn_backward(qn_sum(qn_mul(y, y), QN_ALL, false)), QN_OK);
            cr_assert_eq(qn_optimizer_step(optimizer), QN_OK, "%s", qn_context_message(ctx));
            qn_step_end(ctx);
        }
        cr_assert_eq(
            qn_tensor_read(qn_module_find(bag, "weight"), tables[own], sizeof(tables[own])), QN_OK);
    }
    for (int i = 0; i < 8; i++)
        cr_expect_eq(tables[0][i], tables[1][i], "element %d", i);
}

Test(own_optimizer, a_schedule_of_ones_own_sees_time_and_metrics) {
    qn_optimizer *optimizer = qn_optimizer_new(small_net(), qn_sgd(8, 0));
    qn_schedule schedule = qn_schedule_defaults(&fading);
    schedule.warmup = 0.5;
    qn_scheduler *scheduler = qn_scheduler_new(optimizer, schedule, 4, 2);
    for (int step = 0; step < 6; step++) { /* two of warm-up, then six that fade */
        const double expected = step < 2 ? 4 * (step + 1) : 8 * pow(0.5, (step - 2) / 6.0);
        qn_optimizer_set_steps(optimizer, step);
        qn_scheduler_step(scheduler);
        cr_expect_float_eq(qn_optimizer_lr(optimizer), expected, 1e-12, "step %d", step);
    }
    qn_scheduler_metric(scheduler, 1);
    qn_scheduler_step(scheduler);
    cr_expect_float_eq(qn_optimizer_lr(optimizer), 4 * pow(0.5, 3 / 6.0), 1e-12);
}
