/* quern_bench.c: the command line of the benchmark program, and its table.
 *
 * Each setting is measured in a process of its own (`quern-bench measure`), so that peak memory and
 * the time to the first step are its own. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#ifndef BENCH_DATA
#define BENCH_DATA "examples"
#endif

enum { BAD_INPUT = 2, LONGEST_LIST = 16 };

/** The command line: lists are separated by commas. */
typedef struct options {
    const char *command;
    const char *models, *batch_sizes, *threads, *device, *seconds, *windows;
    const char *data[BENCH_FAMILIES];
} options;

/** The options that name data, by family. */
static const char data_keys[] = "dxe";

static const struct argp_option argp_options[] = {
    {"model", 'm', "LIST", 0,
     "Networks: mlp, lenet, cnn; text/cnn, text/lstm, text/transformer, text/fasttext; "
     "forecast/dlinear, "
     "forecast/nlinear, forecast/lstm, forecast/tcn, forecast/patchtst (mlp,lenet,cnn)",
     0},
    {"batch-size", 'b', "LIST", 0, "Samples a step (what the network is usually trained with)", 0},
    {"threads", 't', "LIST", 0, "Numbers of threads (1,2)", 0},
    {"seconds", 's', "S", 0, "Length of a window (0.7)", 0},
    {"windows", 'w', "N", 0, "Windows; the median is shown with least and most (7)", 0},
    {"data", 'd', "FOLDER", 0, "The MNIST set (the project's)", 0},
    {"text", 'x', "FILE", 0, "Labelled texts (the project's spam mail)", 0},
    {"series", 'e', "FILE", 0, "Time series (the project's weather)", 0},
    {"device", 'D', "DEVICE", 0, "auto, cpu, cuda:0 (auto)", 0},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case 'm':
        o->models = value;
        return 0;
    case 'b':
        o->batch_sizes = value;
        return 0;
    case 't':
        o->threads = value;
        return 0;
    case 's':
        o->seconds = value;
        return 0;
    case 'w':
        o->windows = value;
        return 0;
    case 'd':
    case 'x':
    case 'e':
        o->data[strchr(data_keys, key) - data_keys] = value;
        return 0;
    case 'D':
        o->device = value;
        return 0;
    case ARGP_KEY_ARG:
        if (o->command)
            return ARGP_ERR_UNKNOWN;
        o->command = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = argp_options,
    .parser = parse,
    .args_doc = "train",
    .doc = "Measures training steps: loader, forward, backward and optimizer.",
};

/** One line on stderr; gives the exit code for bad input. */
static int complain(const char *what, const char *value, const char *expected) {
    fprintf(stderr, "quern-bench: %s '%s': expected %s\n", what, value, expected);
    return BAD_INPUT;
}

static bool number(const char *text, double least, double most, double *value) {
    char *end = NULL;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= least && *value <= most;
}

/* ---- one setting, in its own process ----------------------------------------------------- */

static int measure(const options *o) {
    double batch = 0, threads = 0, seconds = 0, windows = 0;
    if (*o->batch_sizes && !number(o->batch_sizes, 1, 60000, &batch))
        return complain("--batch-size", o->batch_sizes, "1 to 60000");
    if (!number(o->threads, 1, 1024, &threads))
        return complain("--threads", o->threads, "1 to 1024");
    if (!number(o->seconds, 0.01, 3600, &seconds))
        return complain("--seconds", o->seconds, "0.01 to 3600");
    if (!number(o->windows, 1, 64, &windows))
        return complain("--windows", o->windows, "1 to 64");
    const bench_model *model = bench_model_find(o->models);
    if (!model)
        return complain("--model", o->models, "one of those that --help lists");
    bench_setting setting = {model,        o->data[model->family],
                             o->device,    batch ? (int64_t)batch : model->batch_size,
                             (int)threads, seconds,
                             (int)windows};
    bench_result r;
    if (bench_train(&setting, &r) != QN_OK)
        return BAD_INPUT;
    printf("%-16s %6lld %7.0f %9.0f %8.0f %8.0f %8.3f ", model->name, (long long)setting.batch_size,
           threads, r.median, r.least, r.most, r.step_ms);
    if (r.product_ms > 0)
        printf("%7.0f %%", 100 * r.product_ms / r.step_ms);
    else
        printf("%9s", "-");
    if (r.gflops > 0)
        printf(" %8.0f", r.gflops);
    else
        printf(" %8s", "-");
    printf(" %8.0f %7.2f %8.0f %8.0f\n", r.matmul_gflops, r.allocations, r.first_step_ms,
           r.peak_rss_mb);
    return 0;
}

/* ---- all settings ------------------------------------------------------------------------ */

static int split(char *list, char **items) {
    int count = 0;
    for (char *save = NULL, *item = strtok_r(list, ",", &save); item && count < LONGEST_LIST;
         item = strtok_r(NULL, ",", &save))
        items[count++] = item;
    return count;
}

/** Runs one setting as a child and waits; gives its exit code. */
static int run_child(const options *o, const char *model, const char *batch_size,
                     const char *threads) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "quern-bench", "measure", "--model", model, "--batch-size",
              batch_size, "--threads", threads, "--seconds", o->seconds, "--windows", o->windows,
              "--data", o->data[BENCH_IMAGES], "--text", o->data[BENCH_TEXTS], "--series",
              o->data[BENCH_SERIES], "--device", o->device, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status)) {
        fprintf(stderr, "quern-bench: a measurement could not be run: %s\n", strerror(errno));
        return 1;
    }
    return WEXITSTATUS(status);
}

static int train(const options *o) {
    char models[256], batches[256], threads[256];
    char *model[LONGEST_LIST], *batch[LONGEST_LIST], *thread[LONGEST_LIST];
    snprintf(models, sizeof(models), "%s", o->models);
    snprintf(batches, sizeof(batches), "%s", o->batch_sizes);
    snprintf(threads, sizeof(threads), "%s", o->threads);
    int model_count = split(models, model), batch_count = split(batches, batch);
    if (batch_count == 0) /* each model's own */
        batch[batch_count++] = "";
    int thread_count = split(threads, thread);
    qn_context *ctx = qn_context_new(o->device);
    if (qn_context_error(ctx, stderr) != QN_OK)
        return BAD_INPUT;
    printf("Quern %s, %s\n", qn_version(), qn_context_describe(ctx));
    qn_context_free(ctx);
    printf("%-16s %6s %7s %9s %8s %8s %8s %9s %8s %8s %7s %8s %8s\n", "model", "batch", "threads",
           "samples/s", "least", "most", "ms/step", "products", "GFLOP/s", "1024^3", "allocs",
           "first ms", "peak MB");
    int code = 0;
    for (int m = 0; code == 0 && m < model_count; m++)
        for (int b = 0; code == 0 && b < batch_count; b++)
            for (int t = 0; code == 0 && t < thread_count; t++)
                code = run_child(o, model[m], batch[b], thread[t]);
    return code;
}

int main(int argc, char **argv) {
    options o = {.models = "mlp,lenet,cnn",
                 .batch_sizes = "",
                 .threads = "1,2",
                 .data = {BENCH_DATA "/mnist/data",
                          BENCH_DATA "/text_classification/data/spam.train.csv.gz",
                          BENCH_DATA "/forecasting/data/seattle-weather.csv"},
                 .device = "auto",
                 .seconds = "0.7",
                 .windows = "7"};
    argp_err_exit_status = BAD_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (o.command && strcmp(o.command, "measure") == 0)
        return measure(&o);
    if (o.command && strcmp(o.command, "train") == 0)
        return train(&o);
    return complain("command", o.command ? o.command : "", "train");
}
