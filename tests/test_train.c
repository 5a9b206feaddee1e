/* test_train.c: the fit loop: what it learns, what it refuses, when it stops. */
#include <math.h>

#include "fit_task.h"

TestSuite(train, .init = scratch_open, .fini = scratch_close);

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
    cr_assert_eq(qn_tensor_read(outputs, values, sizeof(values)), QN_OK);
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

/* Sample 11 holds an infinite number. */
static qn_status get_broken(void *data, int64_t index, void *x, void *y) {
    qn_status status = get_sample(data, index, x, y);
    if (index == 11)
        ((float *)x)[5] = INFINITY;
    return status;
}

static void describe_row(void *data, int64_t index, char *text, size_t size) {
    (void)data;
    snprintf(text, size, "row %lld", (long long)index + 2);
}

static qn_dataset *broken_set(void) {
    qn_dataset_desc desc = *qn_dataset_info(small_set(SAMPLES));
    desc.get = get_broken;
    desc.describe = describe_row;
    return qn_dataset_new(ctx, &desc);
}

Test(train, a_sample_that_is_not_finite_is_named) {
    static const char named[] =
        "sample 11 (row 13) of 'rows & noise' holds numbers that are not finite";
    qn_module *net = qn_nn_sequential(ctx, qn_nn_flatten(ctx),
                                      qn_nn_linear(ctx, SIDE * SIDE, CLASSES, NULL), NULL);
    qn_fit_opts opts = {.optimizer = qn_sgd(1e-3, 0), .batch_size = BATCH};
    cr_expect_eq(qn_fit(net, broken_set(), &opts), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, named);
    net = qn_nn_sequential(ctx, qn_nn_flatten(ctx), qn_nn_linear(ctx, SIDE * SIDE, CLASSES, NULL),
                           NULL);
    cr_expect(isnan(qn_evaluate(net, broken_set(), NULL, 16).loss));
    expect_error(QN_INVALID_ARGUMENT, named);
    qn_fill(qn_module_find(net, "1.weight"), NAN);
    qn_evaluate(net, small_set(SAMPLES), NULL, 16);
    expect_error(QN_INVALID_ARGUMENT, "evaluate: the loss on 'rows & noise' is NaN: what the "
                                      "module gives is not finite, or far off");
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
    snprintf(best, sizeof(best), "%s", scratch_path("best"));
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
