/* fit.c: qn_fit(), the training loop. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit.h"

/* ---- making ready -------------------------------------------------------------------------- */

static void fill_defaults(qn_context *ctx, qn_fit_opts *opts) {
    if (!opts->optimizer.kind && opts->optimizer.lr == 0)
        opts->optimizer = qn_adam(1e-3);
    if (!opts->schedule.kind)
        opts->schedule.kind = qn_schedule_constant().kind;
    if (!opts->loss)
        opts->loss = qn_cross_entropy;
    if (opts->epochs <= 0)
        opts->epochs = 1;
    if (opts->batch_size <= 0)
        opts->batch_size = 64;
    if (opts->eval_batch_size <= 0)
        opts->eval_batch_size = opts->batch_size > 64 ? opts->batch_size : 64;
    const qn_optimizer_kind *kind = opts->optimizer.kind;
    if (opts->optimizer.loss_scale == 0 && kind && kind->scales &&
        qn_context_matmul_precision(ctx) == QN_PRECISION_F16)
        opts->optimizer.loss_scale = 65536;
}

/** The first reason why a run cannot be, or QN_OK. */
static qn_status check(const qn_module *module, const qn_dataset *train, const qn_fit_opts *opts) {
    qn_context *ctx = module ? qn_module_context(module) : train ? qn_dataset_context(train) : NULL;
    if (!ctx)
        return QN_INVALID_ARGUMENT;
    qn_status status = qn_context_error(ctx, NULL);
    if (status != QN_OK)
        return status;
    if (!module || !train || qn_dataset_context(train) != ctx ||
        (opts->validation && qn_dataset_context(opts->validation) != ctx) ||
        (opts->test && qn_dataset_context(opts->test) != ctx))
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                               "fit: needs a module and datasets of one context");
    if (qn_dataset_info(train)->count == 0)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "fit: '%s' has no samples",
                               qn_dataset_info(train)->name);
    return QN_OK;
}

/** Makes what a run needs: optimizer, schedule, loader, and a place for the losses. */
static qn_status prepare(qni_fit *fit) {
    const qn_fit_opts *opts = &fit->opts;
    fit->optimizer = qn_optimizer_new(fit->module, opts->optimizer);
    fit->loader =
        qn_loader_new(fit->train, &(qn_loader_opts){.batch_size = opts->batch_size,
                                                    .shuffle = true,
                                                    .seed = opts->seed,
                                                    .augment = opts->augment,
                                                    .drop_last = opts->drop_last,
                                                    .length_multiple = QNI_LENGTH_MULTIPLE});
    if (!fit->optimizer || !fit->loader)
        return qn_context_error(fit->ctx, NULL);
    fit->batches = qn_loader_batches(fit->loader);
    fit->scheduler = qn_scheduler_new(fit->optimizer, opts->schedule, fit->batches, opts->epochs);
    fit->loss_sum = qn_keep(qn_zeros(fit->ctx, QN_F64, QN_SCALAR));
    fit->epochs = calloc((size_t)opts->epochs, sizeof(*fit->epochs));
    if (!fit->epochs)
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "fit: out of memory for %d epochs",
                               opts->epochs);
    qn_status status = qn_context_error(fit->ctx, NULL);
    return status == QN_OK && opts->restore_best ? qni_best_open(fit) : status;
}

/** The first reason why the options cannot be followed, or QN_OK. */
static qn_status check_options(qni_fit *fit) {
    const qn_fit_opts *opts = &fit->opts;
    const char *needs = opts->save_best        ? "save_best"
                        : opts->restore_best   ? "restore_best"
                        : opts->early_stop > 0 ? "early_stop"
                                               : NULL;
    if (!opts->validation && needs)
        return qn_context_fail(fit->ctx, QN_INVALID_ARGUMENT, "fit: %s needs validation data",
                               needs);
    for (int i = 0; i < opts->settings_count; i++)
        if (!opts->settings || !opts->settings[i].key || !opts->settings[i].value)
            return qn_context_fail(fit->ctx, QN_INVALID_ARGUMENT,
                                   "fit: setting %d needs a key and a value, not NULL", i);
    return qni_outputs_check(fit);
}

/** Fingerprints of the data, for a checkpoint that is to know it again. Taken before the loader
 * starts, which reads samples from another thread. */
static qn_status know_data(qni_fit *fit) {
    if (!fit->opts.checkpoint && !fit->opts.resume)
        return QN_OK;
    qn_status status = qni_data_print(fit->ctx, fit->train, fit->train_print);
    if (status == QN_OK)
        status = qni_data_print(fit->ctx, fit->opts.validation, fit->validation_print);
    return status;
}

/** Continues from a checkpoint, and writes one: which shows now, not later, that it can be. */
static qn_status begin_state(qni_fit *fit) {
    qn_status status = fit->opts.resume ? qni_checkpoint_load(fit) : QN_OK;
    fit->first_epoch = fit->epoch_count;
    fit->started = fit->epoch_started = qni_now();
    if (!fit->opts.checkpoint || status != QN_OK)
        return status;
    status = qni_checkpoint_may_replace(fit);
    return status == QN_OK ? qni_checkpoint_save(fit) : status;
}

static qn_status begin(qni_fit *fit) {
    static qn_status (*const steps[])(qni_fit *) = {
        check_options, know_data,        prepare,         begin_state,
        qni_log_begin, qni_report_claim, qni_board_begin,
    };
    qn_status status = QN_OK;
    fit->report_fd = -1;
    qni_progress_begin(fit);
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && status == QN_OK; i++)
        status = steps[i](fit);
    return status;
}

static void release(qni_fit *fit) {
    qni_progress_clear(fit);
    qn_plan_free(fit->plan);
    qn_loader_free(fit->loader);
    qn_scheduler_free(fit->scheduler);
    qn_optimizer_free(fit->optimizer);
    qn_tensor_free(fit->loss_sum);
    qni_best_close(fit);
    qni_report_close(fit);
    qni_report_unclaim(fit);
    qn_tensorboard_free(fit->board);
    free(fit->epochs);
    const unsigned held = qn_write_enter(); /* closing writes again what could not be written */
    if (fit->log)
        fclose(fit->log);
    qn_write_leave(held);
}

/* ---- a step -------------------------------------------------------------------------------- */

/** Reads the mean loss of the epoch so far from the device; a loss that ran away is an error. */
static qn_status read_loss(qni_fit *fit, double *mean) {
    *mean = qn_item(fit->loss_sum) / (double)fit->samples;
    if (isfinite(*mean))
        return QN_OK;
    char words[256] = "a lower one may help";
    qni_find_not_finite(fit->train, words, sizeof(words));
    return qn_context_fail(
        fit->ctx, QN_INVALID_ARGUMENT,
        "fit: the loss became %s in epoch %d, by batch %lld of %lld, at learning rate %g: %s",
        isnan(*mean) ? "NaN" : "infinite", fit->epoch_count + 1, (long long)fit->batch,
        (long long)fit->batches, qn_optimizer_lr(fit->optimizer), words);
}

/** Forward, backward, schedule and optimizer for a batch: in[0] its
 * samples, in[1] their targets. */
static qn_status train_step(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)out;
    qni_fit *fit = data;
    qn_tensor *loss = fit->opts.loss(qn_forward(fit->module, in[0]), in[1]);
    if (!loss)
        return qn_context_fail(fit->ctx, QN_INVALID_ARGUMENT, "fit: the loss gave no tensor");
    qn_status status = qn_backward_once(qn_optimizer_scale_loss(fit->optimizer, loss));
    if (status == QN_OK && fit->board && fit->batch == fit->batches - 1)
        status = qni_board_gradients(fit);
    if (status == QN_OK) {
        qn_scheduler_step(fit->scheduler);
        status = qn_optimizer_step(fit->optimizer);
    }
    if (status == QN_OK)
        status = qni_accumulate(fit->loss_sum, loss, (double)qn_tensor_dim(in[0], 0));
    return status;
}

/** Steps whose gradients the board looks at, and all where that was asked for, run without the
 * plan. */
static qn_status train_batch(qni_fit *fit, const qn_batch *batch) {
    const bool eager = fit->opts.eager || (fit->board && fit->batch == fit->batches - 1);
    qn_tensor *in[] = {batch->x, batch->y};
    qn_status status = eager ? train_step(fit, in, NULL) : qn_plan_run(fit->plan, in, 2, NULL, 0);
    fit->batch++;
    fit->samples += batch->size;
    return status;
}

static bool wants_stop(const qni_fit *fit) {
    return (fit->opts.handle_interrupt && qni_interrupt_seen()) ||
           (fit->opts.stop && *fit->opts.stop);
}

/** What comes between two batches: the bar, a checkpoint, the wish to stop. */
static qn_status between_batches(qni_fit *fit) {
    int every = fit->opts.checkpoint_steps;
    bool save =
        fit->opts.checkpoint && every > 0 && qn_optimizer_steps(fit->optimizer) % every == 0;
    bool draw = qni_progress_due(fit);
    fit->interrupted = wants_stop(fit);
    save |= fit->opts.checkpoint && fit->interrupted;
    if (!save && !draw)
        return QN_OK;
    double loss;
    qn_status status = read_loss(fit, &loss);
    if (status == QN_OK && draw)
        qni_progress_draw(fit, loss);
    if (status == QN_OK && save)
        status = qni_checkpoint_save(fit);
    return status;
}

/** Adds to an error in a smaller last batch how to do without it. */
static qn_status tell_of_last(qni_fit *fit, qn_status status, int64_t size) {
    char message[512];
    if (qn_context_error(fit->ctx, NULL) != QN_INVALID_ARGUMENT || size == fit->opts.batch_size ||
        fit->batch < fit->batches)
        return status;
    snprintf(message, sizeof(message), "%s", qn_context_message(fit->ctx));
    qn_context_clear_error(fit->ctx);
    return qn_context_fail(fit->ctx, status,
                           "%s (in the last batch of the epoch, of %lld sample%s: drop_last leaves "
                           "it out, another batch size avoids it)",
                           message, (long long)size, size == 1 ? "" : "s");
}

/** Trains until the epoch ends or the run is interrupted. */
static qn_status train_batches(qni_fit *fit) {
    qn_batch batch;
    qn_status status = QN_OK;
    qn_module_train(fit->module, true);
    while (status == QN_OK && !fit->interrupted && qn_loader_next(fit->loader, &batch)) {
        status = tell_of_last(fit, train_batch(fit, &batch), batch.size);
        qn_step_end(fit->ctx);
        if (status == QN_OK && fit->batch < fit->batches)
            status = between_batches(fit);
    }
    return status != QN_OK ? status : qn_context_error(fit->ctx, NULL);
}

/* ---- an epoch ------------------------------------------------------------------------------ */

/** Whether the validation loss has not improved for opts.early_stop epochs. */
static bool stalled(const qni_fit *fit) {
    int best = 0;
    for (int i = 1; i < fit->epoch_count; i++)
        if (fit->epochs[i].validation_loss < fit->epochs[best].validation_loss)
            best = i;
    return fit->opts.early_stop > 0 && fit->epoch_count - 1 - best >= fit->opts.early_stop;
}

bool qni_fit_finished(const qni_fit *fit) {
    return fit->epoch_count >= fit->opts.epochs || stalled(fit);
}

/** Everything that is told and saved of an epoch that has ended. */
static qn_status tell_epoch(qni_fit *fit) {
    qn_status status = QN_OK;
    bool best = qni_best_epoch(fit) == fit->epoch_count - 1;
    if (best && fit->opts.save_best)
        status = qni_model_save(fit, fit->opts.save_best);
    if (status == QN_OK && best && fit->best)
        status = qni_best_keep(fit);
    if (status == QN_OK)
        status = qni_log_epoch(fit, fit->epoch_count);
    if (status == QN_OK)
        status = qni_board_epoch(fit);
    if (status == QN_OK && fit->opts.checkpoint)
        status = qni_checkpoint_save(fit);
    qni_progress_epoch(fit);
    return status;
}

static qn_status end_epoch(qni_fit *fit) {
    qni_epoch record = {.lr = qn_optimizer_lr(fit->optimizer)};
    qn_status status = read_loss(fit, &record.train_loss);
    if (status != QN_OK)
        return status;
    double trained = qni_now() - fit->epoch_started;
    record.samples_per_second = (double)(fit->samples - fit->samples_earlier) / trained;
    qn_metrics validation = {.loss = NAN, .accuracy = NAN};
    if (fit->opts.validation)
        validation = qn_evaluate(fit->module, fit->opts.validation, fit->opts.loss,
                                 fit->opts.eval_batch_size);
    record.validation_loss = validation.loss;
    record.validation_accuracy = validation.accuracy;
    record.seconds = fit->epoch_earlier + qni_now() - fit->epoch_started;
    qn_scheduler_metric(fit->scheduler, fit->opts.validation ? validation.loss : record.train_loss);
    fit->epochs[fit->epoch_count++] = record;
    fit->batch = fit->samples = fit->samples_earlier = 0;
    fit->epoch_earlier = 0;
    fit->epoch_started = qni_now();
    status = qn_fill(fit->loss_sum, 0);
    if (status == QN_OK)
        status = qn_context_error(fit->ctx, NULL);
    return status != QN_OK ? status : tell_epoch(fit);
}

/* ---- the run ------------------------------------------------------------------------------- */

static qn_status train(qni_fit *fit) {
    fit->plan = qn_plan_new(fit->ctx, train_step, fit);
    qn_status status = qn_context_error(fit->ctx, NULL);
    while (status == QN_OK && !fit->interrupted && !qni_fit_finished(fit)) {
        status = train_batches(fit);
        if (status == QN_OK && !fit->interrupted)
            status = end_epoch(fit);
        if (fit->epoch_count < fit->opts.epochs)
            fit->interrupted = wants_stop(fit);
    }
    return status;
}

/** The epochs' training speed of a rank, 0 for the lowest. */
static double ranked_speed(const qni_fit *fit, int rank) {
    for (int i = 0; i < fit->epoch_count; i++) {
        const double speed = fit->epochs[i].samples_per_second;
        int lower = 0, equal = 0;
        for (int j = 0; j < fit->epoch_count; j++) {
            lower += fit->epochs[j].samples_per_second < speed;
            equal += fit->epochs[j].samples_per_second == speed;
        }
        if (lower <= rank && rank < lower + equal)
            return speed;
    }
    return 0;
}

/** Median of the epochs' training speeds; 0 when none has ended. */
static double median_speed(const qni_fit *fit) {
    const int count = fit->epoch_count;
    return (ranked_speed(fit, (count - 1) / 2) + ranked_speed(fit, count / 2)) / 2;
}

/** What an epoch found out about the validation set. */
static qn_metrics validated(const qni_fit *fit, int epoch) {
    qn_metrics metrics = {.loss = NAN, .accuracy = NAN};
    if (!fit->opts.validation)
        return metrics;
    const qni_epoch *record = &fit->epochs[epoch];
    return (qn_metrics){.loss = record->validation_loss,
                        .accuracy = record->validation_accuracy,
                        .samples = qn_dataset_info(fit->opts.validation)->count};
}

static qn_fit_result summary(const qni_fit *fit) {
    const qn_metrics unknown = {.loss = NAN, .accuracy = NAN};
    qn_fit_result result = {.epochs = fit->epoch_count,
                            .train_loss = NAN,
                            .validation = unknown,
                            .test = unknown,
                            .best_accuracy = NAN,
                            .seconds = fit->earlier + qni_now() - fit->started,
                            .samples_per_second = median_speed(fit),
                            .interrupted = fit->interrupted,
                            .signal = fit->opts.handle_interrupt ? qni_interrupt_seen() : 0};
    if (fit->epoch_count == 0)
        return result;
    const int last = fit->epoch_count - 1, best = qni_best_epoch(fit);
    result.train_loss = fit->epochs[last].train_loss;
    result.best_epoch = best + 1;
    result.best_accuracy = fit->epochs[best].validation_accuracy;
    result.validation = validated(fit, fit->best && !fit->interrupted ? best : last);
    if (fit->opts.test == fit->opts.validation) /* what it gives is known already */
        result.test = result.validation;
    return result;
}

/** What comes after the last epoch: the best model, the test set, the program's own measures. */
static qn_status finish(qni_fit *fit, qn_fit_result *result) {
    const qn_fit_opts *opts = &fit->opts;
    qn_status status = fit->best ? qni_best_restore(fit) : QN_OK;
    if (status == QN_OK && opts->save)
        status = qni_model_save(fit, opts->save);
    if (status == QN_OK && opts->test && opts->test != opts->validation) {
        result->test = qn_evaluate(fit->module, opts->test, opts->loss, opts->eval_batch_size);
        status = qn_context_error(fit->ctx, NULL);
    }
    if (opts->result)
        *opts->result = *result;
    if (status == QN_OK)
        status = qni_report_open(fit);
    if (status == QN_OK && opts->finish) {
        status = opts->finish(fit->report, opts->finish_data);
        if (status == QN_OK && opts->save) /* it may have set buffers */
            status = qni_model_save(fit, opts->save);
    }
    if (status != QN_OK)
        return qn_context_fail(fit->ctx, status, "fit: the end failed: %s",
                               qn_status_string(status));
    return opts->report ? qni_report_write(fit, result) : QN_OK;
}

/** Without a checkpoint the model as it is goes beside the place of the one that was to be: a file
 * that a finished run left there stays. */
static qn_status save_interrupted(const qni_fit *fit) {
    const size_t size = strlen(fit->opts.save) + sizeof(".interrupted");
    char *path = malloc(size);
    if (!path)
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "fit: out of memory for a file name");
    snprintf(path, size, "%s.interrupted", fit->opts.save);
    const qn_status status = qni_model_save(fit, path);
    free(path);
    return status;
}

/** Ends a run with its files; `status` is what the training came to. */
static qn_status end(qni_fit *fit, qn_status status) {
    qn_fit_result result = summary(fit);
    if (fit->opts.result)
        *fit->opts.result = result;
    if (status == QN_OK && fit->interrupted) {
        qni_progress_interrupted(fit);
        if (fit->opts.save && !fit->opts.checkpoint)
            status = save_interrupted(fit);
    } else if (status == QN_OK) {
        status = finish(fit, &result);
    }
    if (status == QN_OK)
        status = qni_log_end(fit, &result);
    return status != QN_OK ? status : fit->interrupted ? QN_INTERRUPTED : QN_OK;
}

/** What made a run fail: calls that go on with what could not be made return INVALID_ARGUMENT, but
 * the first error is on the context. Where none is, as when a callback failed, it gets one. */
static qn_status cause(qn_context *ctx, qn_status status) {
    if (status == QN_OK || status == QN_INTERRUPTED)
        return status;
    const qn_status first = qn_context_error(ctx, NULL);
    return first != QN_OK ? first
                          : qn_context_fail(ctx, status, "fit: %s", qn_status_string(status));
}

qn_status qn_fit(qn_module *module, qn_dataset *train_set, const qn_fit_opts *opts) {
    qni_fit fit = {.module = module, .train = train_set};
    if (opts)
        fit.opts = *opts;
    qn_status status = check(module, train_set, &fit.opts);
    if (status != QN_OK)
        return status;
    fit.ctx = qn_module_context(module);
    fill_defaults(fit.ctx, &fit.opts);
    if (fit.opts.handle_interrupt)
        qni_interrupt_catch();
    status = begin(&fit);
    if (status == QN_OK)
        status = train(&fit);
    status = end(&fit, status);
    status = cause(fit.ctx, status);
    if (fit.opts.handle_interrupt)
        qni_interrupt_restore();
    release(&fit);
    return status;
}
