/* bench_train.c: whole training steps, as qn_fit() would run them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"

enum { WARM_UP_STEPS = 10 };

/** What a measurement works with. */
typedef struct bench {
    qn_context *ctx;
    bench_task task;
    qn_loader *loader;
    qn_optimizer *optimizer;
    qn_plan *plan;
} bench;

static qn_status train_step(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)out;
    const bench *b = data;
    qn_status status = qn_backward_once(b->task.loss(qn_forward(b->task.net, in[0]), in[1]));
    return status == QN_OK ? qn_optimizer_step(b->optimizer) : status;
}

static bool set_up(const bench_setting *setting, bench *b) {
    b->ctx = bench_open(setting);
    setting->model->make(b->ctx, setting->model, setting->data, &b->task);
    qn_step_end(b->ctx); /* of what the start values were made with */
    b->loader =
        qn_loader_new(b->task.data, &(qn_loader_opts){.batch_size = setting->batch_size,
                                                      .shuffle = true,
                                                      .drop_last = true,
                                                      .length_multiple = b->task.length_multiple});
    b->optimizer = qn_optimizer_new(b->task.net, qn_adam(1e-3));
    b->plan = qn_plan_new(b->ctx, train_step, b);
    return qn_context_error(b->ctx, NULL) == QN_OK;
}

static bool step(bench *b) {
    qn_batch batch;
    if (!qn_loader_next(b->loader, &batch) && !qn_loader_next(b->loader, &batch))
        return false; /* the first refusal is the end of an epoch */
    qn_tensor *in[] = {batch.x, batch.y};
    qn_status status = qn_plan_run(b->plan, in, 2, NULL, 0);
    qn_step_end(b->ctx);
    return status == QN_OK;
}

/** Samples a second in each window; the steps taken, 0 when one failed. */
static int64_t run_windows(const bench_setting *setting, bench *b, int windows, double *rates) {
    int64_t steps = 0;
    for (int w = 0; w < windows; w++) {
        double start = bench_now(), elapsed = 0;
        int64_t before = steps;
        while (elapsed < setting->seconds) {
            if (!step(b))
                return 0;
            steps++;
            elapsed = bench_now() - start;
        }
        if (qn_context_synchronize(b->ctx) != QN_OK)
            return 0;
        rates[w] = (double)((steps - before) * setting->batch_size) / (bench_now() - start);
    }
    return steps;
}

/** Rate, time of a step, and allocations, of whole steps; false when a step failed. */
static bool measure_steps(const bench_setting *setting, bench *b, json_t *row) {
    double rates[BENCH_MOST_WINDOWS];
    int windows = setting->windows < BENCH_MOST_WINDOWS ? setting->windows : BENCH_MOST_WINDOWS;
    size_t before = qn_memory_stats(b->ctx).allocations;
    int64_t steps = run_windows(setting, b, windows, rates);
    if (steps == 0)
        return false;
    bench_spread rate = bench_spread_of(rates, windows);
    size_t allocations = qn_memory_stats(b->ctx).allocations - before;
    json_object_set_new(row, "rate", json_real(rate.median));
    json_object_set_new(row, "rate_least", json_real(rate.least));
    json_object_set_new(row, "rate_most", json_real(rate.most));
    json_object_set_new(row, "ms", json_real(1e3 * (double)setting->batch_size / rate.median));
    json_object_set_new(row, "allocations", json_real((double)allocations / (double)steps));
    return true;
}

/* ---- the floor ---------------------------------------------------------------------------- */

/** Adds what steps compute and move, and how long that takes at least at the machine's limits: the
 * mean over steps of one more window, since batches of texts differ in length. Steps that are not
 * replayed are passed over. False when a step failed. */
static bool add_floor(const bench_setting *setting, bench *b, json_t *row) {
    double floor = 0, operations = 0, bytes = 0;
    int64_t replays = 0, replayed = qn_plan_stats(b->plan).replayed;
    for (double start = bench_now(); bench_now() - start < setting->seconds;) {
        if (!step(b))
            return false;
        if (qn_plan_stats(b->plan).replayed == replayed)
            continue;
        replayed++;
        replays++;
        floor += qn_plan_floor(b->plan, 1e9 * setting->peak_gflops, 1e9 * setting->copy_gbs);
        operations += qn_plan_floor(b->plan, 1, INFINITY);
        bytes += qn_plan_floor(b->plan, INFINITY, 1);
    }
    if (replays == 0)
        return true;
    json_object_set_new(row, "step_gflop", json_real(1e-9 * operations / (double)replays));
    json_object_set_new(row, "step_mb", json_real(1e-6 * bytes / (double)replays));
    if (setting->peak_gflops > 0 && setting->copy_gbs > 0) {
        const double ms = 1e3 * floor / (double)replays;
        json_object_set_new(row, "floor_ms", json_real(ms));
        json_object_set_new(row, "of_floor",
                            json_real(ms / json_real_value(json_object_get(row, "ms"))));
    }
    return true;
}

/* ---- arithmetic -------------------------------------------------------------------------- */

typedef struct operands {
    qn_tensor *a, *b;
} operands;

static void multiply(void *data) {
    const operands *o = data;
    qn_tensor_free(qn_matmul(o->a, o->b));
}

/** Milliseconds of a product [m, k] x [k, n] at this setting. */
static double product_ms(qn_tensor *a, qn_tensor *b) {
    operands o = {a, b};
    return 1e3 * bench_time(multiply, &o, 0.02, 5).median;
}

/** The products of a linear layer in one step: forward, gradient of the weight, and of the input
 * unless the layer is the first. */
static double linear_ms(qn_context *ctx, int64_t rows, int64_t in, int64_t out, bool first) {
    qn_tensor *x = qn_normal(ctx, QN_F32, QN_SHAPE(rows, in), 0, 1);
    qn_tensor *weight = qn_normal(ctx, QN_F32, QN_SHAPE(out, in), 0, 1);
    qn_tensor *grad = qn_normal(ctx, QN_F32, QN_SHAPE(rows, out), 0, 1);
    double ms = product_ms(x, qn_transpose(weight, 0, 1));
    ms += product_ms(qn_transpose(grad, 0, 1), x);
    if (!first)
        ms += product_ms(grad, weight);
    qn_step_end(ctx);
    return ms;
}

/** What a step computes. */
typedef struct arithmetic {
    double operations; /**< multiplications and additions of products and convolutions */
    double linear_ms;  /**< time of the linear layers' products alone */
    bool convolutions;
} arithmetic;

/** Adds a layer x -> y: forward, gradient of the weight, and of the
 * input unless it is the first. */
static void add_layer(arithmetic *sum, const qn_module *layer, const qn_tensor *y, int64_t batch) {
    bool conv = strcmp(qn_module_kind(layer), "conv2d") == 0;
    bool linear = strcmp(qn_module_kind(layer), "linear") == 0;
    if (!conv && !linear)
        return;
    const qn_tensor *weight = qn_module_find(layer, "weight");
    bool first = sum->operations == 0;
    /* Every output element takes the products of one row of the weight. */
    double forward = 2.0 * (double)qn_tensor_count(y) * (double)qn_tensor_count(weight) /
                     (double)qn_tensor_dim(weight, 0);
    sum->operations += forward * (first ? 2 : 3);
    if (linear)
        sum->linear_ms += linear_ms(qn_tensor_context(y), batch, qn_tensor_dim(weight, 1),
                                    qn_tensor_dim(weight, 0), first);
    sum->convolutions = sum->convolutions || conv;
}

/** Walks the layers of a network of images. */
static arithmetic count_arithmetic(const bench_setting *setting, bench *b) {
    arithmetic sum = {0};
    bool recording = qn_context_set_grad(b->ctx, false);
    qn_tensor *x = qn_normal(b->ctx, QN_F32, QN_SHAPE(setting->batch_size, 1, 28, 28), 0, 1);
    qn_keep(x);
    qn_module *layer;
    for (int i = 0; (layer = qn_module_child(b->task.net, i)); i++) {
        qn_tensor *y = qn_keep(qn_forward(layer, x));
        add_layer(&sum, layer, y, setting->batch_size);
        qn_tensor_free(x);
        x = y;
    }
    qn_tensor_free(x);
    qn_context_set_grad(b->ctx, recording);
    return sum;
}

static void add_arithmetic(const bench_setting *setting, bench *b, json_t *row) {
    double ms = json_real_value(json_object_get(row, "ms"));
    arithmetic sum = count_arithmetic(setting, b);
    json_object_set_new(row, "gflops", json_real(sum.operations / (1e6 * ms)));
    if (!sum.convolutions)
        json_object_set_new(row, "products", json_real(sum.linear_ms / ms));
}

int bench_train(const bench_setting *setting, json_t **rows) {
    bench b = {0};
    bool ok = set_up(setting, &b) && step(&b) && qn_context_synchronize(b.ctx) == QN_OK;
    double first_step = bench_age();
    for (int i = 0; ok && i < WARM_UP_STEPS; i++)
        ok = step(&b);
    json_t *row = json_pack("{s:s, s:s, s:I, s:i}", "model", setting->model->name, "device",
                            qn_context_device(b.ctx), "batch", (json_int_t)setting->batch_size,
                            "threads", setting->threads);
    if (!isnan(first_step))
        json_object_set_new(row, "first_ms", json_real(1e3 * first_step));
    bench_note_precision(setting, row);
    ok = ok && row && measure_steps(setting, &b, row);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    json_object_set_new(row, "peak_mb", json_real((double)usage.ru_maxrss / 1024));
    ok = ok && add_floor(setting, &b, row);
    if (ok && setting->model->family == BENCH_IMAGES)
        add_arithmetic(setting, &b, row);
    if (ok)
        json_object_set_new(row, "sgemm_gflops", json_real(bench_product_gflops(b.ctx, 1024)));
    if (!ok && qn_context_error(b.ctx, NULL) == QN_OK)
        qn_context_fail(b.ctx, QN_INVALID_ARGUMENT, "%s: not one batch of %lld samples",
                        setting->data, (long long)setting->batch_size);
    const int code = bench_close(b.ctx);
    *rows = code == 0 ? row : NULL;
    if (code != 0)
        json_decref(row);
    return code;
}
