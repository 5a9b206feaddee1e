/* bench_compare.c: one recipe trained on one device until a target accuracy: seconds and energy an
 * epoch. */
#include <math.h>
#include <stdio.h>

#include "bench.h"
#include "bench_power.h"

/** A training with what it is measured by. */
typedef struct training {
    qn_context *ctx;
    bench_task task;
    qn_dataset *test;
    qn_loader *loader;
    qn_optimizer *optimizer;
} training;

static bool set_up(const bench_setting *setting, training *t) {
    t->ctx = bench_open(setting);
    setting->model->make(t->ctx, setting->model, setting->data, &t->task);
    t->test = qn_mnist_open(t->ctx, setting->data, QN_TEST);
    qn_step_end(t->ctx);
    t->loader = qn_loader_new(
        t->task.data, &(qn_loader_opts){.batch_size = setting->batch_size, .shuffle = true});
    t->optimizer = qn_optimizer_new(t->task.net, qn_adam(1e-3));
    return qn_context_error(t->ctx, NULL) == QN_OK;
}

static bool train_epoch(training *t) {
    qn_batch batch;
    qn_status status = QN_OK;
    while (status == QN_OK && qn_loader_next(t->loader, &batch)) {
        status = qn_backward_once(t->task.loss(qn_forward(t->task.net, batch.x), batch.y));
        if (status == QN_OK)
            status = qn_optimizer_step(t->optimizer);
        qn_step_end(t->ctx);
    }
    return qn_context_synchronize(t->ctx) == QN_OK && qn_context_error(t->ctx, NULL) == QN_OK;
}

/** Trains to the target or through all epochs; the time of evaluation does not count. */
static bool train(const bench_setting *setting, training *t, json_t *row) {
    double seconds = 0, accuracy = 0, joules = 0;
    int epoch = 0;
    bool reached = false;
    while (epoch < setting->epochs && !reached) {
        bench_power before = bench_power_read(setting->device);
        double start = bench_now();
        if (!train_epoch(t))
            return false;
        seconds += bench_now() - start;
        joules += bench_power_since(setting->device, before);
        epoch++;
        accuracy = qn_evaluate(t->task.net, t->test, t->task.loss, 256).accuracy;
        reached = setting->target_accuracy > 0 && accuracy >= setting->target_accuracy;
    }
    json_object_set_new(row, "epochs", json_integer(epoch));
    json_object_set_new(row, "accuracy", json_real(accuracy));
    json_object_set_new(row, "epoch_seconds", json_real(seconds / epoch));
    if (reached || setting->target_accuracy <= 0)
        json_object_set_new(row, "target_seconds", json_real(seconds));
    if (!isnan(joules)) {
        json_object_set_new(row, "epoch_joules", json_real(joules / epoch));
        if (reached)
            json_object_set_new(row, "target_joules", json_real(joules));
    }
    return qn_context_error(t->ctx, NULL) == QN_OK;
}

int bench_compare(const bench_setting *setting, json_t **rows) {
    training t = {0};
    json_t *row =
        json_pack("{s:s, s:s, s:I, s:i}", "model", setting->model->name, "device", setting->device,
                  "batch", (json_int_t)setting->batch_size, "threads", setting->threads);
    bench_note_precision(setting, row);
    bool ok = set_up(setting, &t);
    json_object_set_new(row, "description", json_string(qn_context_describe(t.ctx)));
    ok = ok && train(setting, &t, row);
    if (ok && qn_context_fallbacks(t.ctx) > 0)
        json_object_set_new(row, "fallbacks",
                            json_integer((json_int_t)qn_context_fallbacks(t.ctx)));
    const int code = bench_close(t.ctx);
    *rows = code == 0 ? row : NULL;
    if (code != 0)
        json_decref(row);
    return code;
}
