/* bench_train.c: whole training steps, as qn_fit() would run them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { WARM_UP_STEPS = 10, MOST_WINDOWS = 64 };

double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double bench_age(void) {
    /* Field 22 of the line is the start in clock ticks since boot; the name before may hold spaces.
     */
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "r");
    if (!file)
        return NAN;
    char *got = fgets(line, sizeof(line), file);
    fclose(file);
    char *at = got ? strrchr(line, ')') : NULL;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return NAN;
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    double started = strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec - started;
}

int bench_by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/** What a measurement works with. */
typedef struct bench {
    qn_context *ctx;
    bench_task task;
    qn_loader *loader;
    qn_optimizer *optimizer;
} bench;

static bool set_up(const bench_setting *setting, bench *b) {
    b->ctx = qn_context_new(setting->device);
    qn_context_set_threads(b->ctx, setting->threads);
    setting->model->make(b->ctx, setting->model, setting->data, &b->task);
    qn_step_end(b->ctx); /* of what the start values were made with */
    b->loader =
        qn_loader_new(b->task.data, &(qn_loader_opts){.batch_size = setting->batch_size,
                                                      .shuffle = true,
                                                      .drop_last = true,
                                                      .length_multiple = b->task.length_multiple});
    b->optimizer = qn_optimizer_new(b->task.net, qn_adam(1e-3));
    return qn_context_error(b->ctx, NULL) == QN_OK;
}

static bool step(bench *b) {
    qn_batch batch;
    if (!qn_loader_next(b->loader, &batch) && !qn_loader_next(b->loader, &batch))
        return false; /* the first refusal is the end of an epoch */
    qn_status status = qn_backward(b->task.loss(qn_forward(b->task.net, batch.x), batch.y));
    if (status == QN_OK)
        status = qn_optimizer_step(b->optimizer);
    qn_step_end(b->ctx);
    return status == QN_OK;
}

/** Steps for the windows; false when a step failed. */
static bool run_windows(const bench_setting *setting, bench *b, bench_result *result) {
    double rates[MOST_WINDOWS];
    int windows = setting->windows < MOST_WINDOWS ? setting->windows : MOST_WINDOWS;
    int64_t steps = 0;
    size_t allocations = qn_memory_stats(b->ctx).allocations;
    for (int w = 0; w < windows; w++) {
        double start = bench_now(), elapsed = 0;
        int64_t before = steps;
        while (elapsed < setting->seconds) {
            if (!step(b))
                return false;
            steps++;
            elapsed = bench_now() - start;
        }
        rates[w] = (double)((steps - before) * setting->batch_size) / elapsed;
    }
    qsort(rates, (size_t)windows, sizeof(*rates), bench_by_size);
    result->least = rates[0];
    result->median = rates[windows / 2];
    result->most = rates[windows - 1];
    result->step_ms = 1e3 * (double)setting->batch_size / result->median;
    result->allocations =
        (double)(qn_memory_stats(b->ctx).allocations - allocations) / (double)steps;
    return true;
}

/* ---- arithmetic -------------------------------------------------------------------------- */

/** Median milliseconds of a product [m, k] x [k, n] at this setting. */
static double product_ms(qn_context *ctx, qn_tensor *a, qn_tensor *b) {
    enum { RUNS = 15 };
    double times[RUNS];
    for (int i = -2; i < RUNS; i++) {
        double start = bench_now();
        qn_tensor_free(qn_matmul(a, b));
        if (i >= 0)
            times[i] = 1e3 * (bench_now() - start);
    }
    (void)ctx;
    qsort(times, RUNS, sizeof(*times), bench_by_size);
    return times[RUNS / 2];
}

/** The products of a linear layer in one step: forward, gradient of the weight, and of the input
 * unless the layer is the first. */
static double linear_ms(qn_context *ctx, int64_t rows, int64_t in, int64_t out, bool first) {
    qn_tensor *x = qn_normal(ctx, QN_F32, QN_SHAPE(rows, in), 0, 1);
    qn_tensor *weight = qn_normal(ctx, QN_F32, QN_SHAPE(out, in), 0, 1);
    qn_tensor *grad = qn_normal(ctx, QN_F32, QN_SHAPE(rows, out), 0, 1);
    double ms = product_ms(ctx, x, qn_transpose(weight, 0, 1));
    ms += product_ms(ctx, qn_transpose(grad, 0, 1), x);
    if (!first)
        ms += product_ms(ctx, grad, weight);
    qn_step_end(ctx);
    return ms;
}

/** Walks the layers: operations of one step, and the time of the linear products alone. */
static void count_arithmetic(const bench_setting *setting, bench *b, bench_result *result) {
    bool recording = qn_context_set_grad(b->ctx, false), first = true, convolutions = false;
    qn_tensor *x = qn_normal(b->ctx, QN_F32, QN_SHAPE(setting->batch_size, 1, 28, 28), 0, 1);
    qn_keep(x);
    double operations = 0, linear = 0;
    qn_module *layer;
    for (int i = 0; (layer = qn_module_child(b->task.net, i)); i++) {
        qn_tensor *y = qn_keep(qn_forward(layer, x));
        qn_tensor *weight = qn_module_find(layer, "weight");
        bool is_conv = strcmp(qn_module_kind(layer), "conv2d") == 0;
        bool is_linear = strcmp(qn_module_kind(layer), "linear") == 0;
        if (is_conv || is_linear) {
            /* Every output element takes the products of one row of the weight. */
            double forward = 2.0 * (double)qn_tensor_count(y) * (double)qn_tensor_count(weight) /
                             (double)qn_tensor_dim(weight, 0);
            operations += forward * (first ? 2 : 3);
            if (is_linear)
                linear += linear_ms(b->ctx, setting->batch_size, qn_tensor_dim(weight, 1),
                                    qn_tensor_dim(weight, 0), first);
            convolutions = convolutions || is_conv;
            first = false;
        }
        qn_tensor_free(x);
        x = y;
    }
    qn_tensor_free(x);
    result->gflops = operations / (1e6 * result->step_ms);
    result->product_ms = convolutions ? 0 : linear;
    qn_context_set_grad(b->ctx, recording);
}

static double square_product_gflops(qn_context *ctx) {
    const int64_t n = 1024;
    qn_tensor *a = qn_normal(ctx, QN_F32, QN_SHAPE(n, n), 0, 1);
    qn_tensor *b = qn_normal(ctx, QN_F32, QN_SHAPE(n, n), 0, 1);
    double ms = product_ms(ctx, a, b);
    qn_step_end(ctx);
    return 2.0 * (double)(n * n * n) / (1e6 * ms);
}

qn_status bench_train(const bench_setting *setting, bench_result *result) {
    bench b = {0};
    *result = (bench_result){0};
    bool ok = set_up(setting, &b) && step(&b);
    result->first_step_ms = 1e3 * bench_age();
    for (int i = 0; ok && i < WARM_UP_STEPS; i++)
        ok = step(&b);
    ok = ok && run_windows(setting, &b, result);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    result->peak_rss_mb = (double)usage.ru_maxrss / 1024;
    if (ok && setting->model->family == BENCH_IMAGES)
        count_arithmetic(setting, &b, result);
    if (ok)
        result->matmul_gflops = square_product_gflops(b.ctx);
    qn_status status = qn_context_error(b.ctx, stderr);
    qn_context_free(b.ctx);
    return status;
}
