/* quern_bench.c: the command line of the benchmark program.
 *
 * Each setting is measured in a process of its own (`quern-bench measure`), so that
 * peak memory and the time to the first step are its own. It prints its rows as JSON,
 * which this process collects. */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "bench_command.h"
#include "standard_streams.h"

static const struct argp_option argp_options[] = {
    {0, 0, 0, 0, "What is measured:", 1},
    {"model", 'm', "LIST", 0,
     "Networks: mlp, lenet, cnn; text/cnn, text/lstm, text/transformer, text/fasttext; "
     "forecast/dlinear, forecast/nlinear, forecast/lstm, forecast/tcn, forecast/patchtst "
     "(mlp,lenet,cnn; compare: lenet)",
     1},
    {"op", 'o', "TEXT", 0, "ops: rows whose name has TEXT in it (all)", 1},
    {"inputs", 'I', "LIST", 0,
     "ops: shapes for the row that --op names in full, as 64x784,512x784,512, - for a scalar "
     "(those of the tables)",
     1},
    {"batch-size", 'b', "LIST", 0, "Samples a step (what the network is usually trained with)", 1},
    {"threads", 't', "LIST", 0, "Numbers of threads (1,2; compare: all)", 1},
    {"devices", 'D', "LIST", 0, "cpu, cuda:0 (cpu; compare: cpu,cuda:0)", 1},
    {"device", 1001, "LIST", OPTION_ALIAS, 0, 1},
    {"providers", 'p', "LIST", 0,
     "ops: whose kernels, each on its own; 'all' asks them in the device's order (all)", 1},
    {"precision", 'r', "NAME", 0, "Of products: f32, tf32 or bf16, where the devices have it (f32)",
     1},
    {"target-accuracy", 'a', "X", 0, "compare: trains until the test accuracy is X, 0 to 1 (0.99)",
     1},
    {"epochs", 'n', "N", 0, "compare: at most N epochs (10)", 1},
    {"seconds", 's', "S", 0, "Length of a window (0.7; ops: 0.05)", 1},
    {"windows", 'w', "N", 0, "Windows; the median is shown with least and most (7)", 1},
    {"limits", 'L', "FILE", 0,
     "Limits of the machine as FILE, of an earlier --json, has them (measured at the start)", 1},
    {"roof", 'R', "GFLOPS,GBS", OPTION_HIDDEN, 0, 1}, /* told to measuring processes */
    {"data", 'd', "FOLDER", 0, "The MNIST set (the project's)", 1},
    {"text", 'x', "FILE", 0, "Labelled texts (the project's spam mail)", 1},
    {"series", 'e', "FILE", 0, "Time series (the project's weather)", 1},
    {0, 0, 0, 0, "What is shown:", 2},
    {"price", 'P', "LIST", 0, "compare: dollars an hour, as cpu=0.68,cuda:0=1.006", 2},
    {"instances", 'i', "FILE", 0, "compare: instance types and their prices (built in)", 2},
    {"json", 'j', "FILE", 0, "Writes all figures to FILE, - for standard output", 2},
    {"html", 'h', "FILE", 0, "Writes a page with charts to FILE", 2},
    {"baseline", 'B', "FILE", 0,
     "Compares with FILE, of an earlier --json; ! marks what is beyond the noise", 2},
    {0},
};

void *bench_alloc(size_t bytes) {
    void *memory = malloc(bytes ? bytes : 1);
    if (memory)
        return memory;
    fputs("quern-bench: out of memory\n", stderr);
    exit(BENCH_FAILED);
}

int bench_io_error(const char *path, int error) {
    const bool memory = error == ENOMEM;
    fprintf(stderr, "quern-bench: %s: %s\n", path, memory ? "out of memory" : strerror(error));
    return memory ? BENCH_FAILED : BENCH_BAD_INPUT;
}

static error_t parse(int key, char *value, struct argp_state *state) {
    static const char keys[] = "moIbtDprRanswdxeLPijhB";
    bench_options *o = state->input;
    if (key == ARGP_KEY_ARG && !o->command) {
        o->command = value;
        return 0;
    }
    key = key == 1001 ? 'D' : key;
    const char *at = key > 0 && key < 128 ? strchr(keys, key) : NULL;
    if (!at)
        return ARGP_ERR_UNKNOWN;
    const char **fields[] = {
        &o->models,    &o->filter,    &o->inputs,  &o->batch_sizes, &o->threads, &o->devices,
        &o->providers, &o->precision, &o->roof,    &o->target,      &o->epochs,  &o->seconds,
        &o->windows,   &o->data[0],   &o->data[1], &o->data[2],     &o->limits,  &o->prices,
        &o->instances, &o->json,      &o->html,    &o->baseline};
    *fields[at - keys] = value;
    return 0;
}

static const struct argp argp = {
    .options = argp_options,
    .parser = parse,
    .args_doc = "train|ops|compare",
    .doc =
        "Measures training steps (train), single operations (ops), or the same training on several "
        "devices (compare).\vEvery figure is a median of several windows, with the least and the "
        "most.",
};

/** One line on stderr; gives the exit code for bad input. */
static int complain(const char *what, const char *value, const char *expected) {
    fprintf(stderr, "quern-bench: %s '%s': expected %s\n", what, value, expected);
    return BENCH_BAD_INPUT;
}

static bool number(const char *text, double least, double most, double *value) {
    char *end = NULL;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= least && *value <= most;
}

/** Everything that a measuring process is told in numbers. */
static int read_setting(const bench_options *o, bench_setting *setting) {
    double batch = 0, threads = 0, windows = 0, epochs = 0;
    if (*o->batch_sizes && !number(o->batch_sizes, 1, 60000, &batch))
        return complain("--batch-size", o->batch_sizes, "1 to 60000");
    if (!number(o->threads, 0, 1024, &threads))
        return complain("--threads", o->threads, "1 to 1024");
    if (!number(o->seconds, 0.001, 3600, &setting->seconds))
        return complain("--seconds", o->seconds, "0.001 to 3600");
    if (!number(o->windows, 1, BENCH_MOST_WINDOWS, &windows))
        return complain("--windows", o->windows, "1 to 64");
    if (!number(o->epochs, 1, 1000, &epochs))
        return complain("--epochs", o->epochs, "1 to 1000");
    if (!number(o->target, 0, 1, &setting->target_accuracy))
        return complain("--target-accuracy", o->target, "0 to 1");
    if (*o->roof && sscanf(o->roof, "%lf,%lf", &setting->peak_gflops, &setting->copy_gbs) != 2)
        return complain("--roof", o->roof, "GFLOP/s and GB/s");
    if (!bench_precision_of(o->precision, &setting->precision))
        return complain("--precision", o->precision, "f32, tf32 or bf16");
    setting->model = bench_model_find(o->models);
    if (!setting->model)
        return complain("--model", o->models, "one of those that --help lists");
    setting->data = o->data[setting->model->family];
    setting->device = o->devices;
    setting->batch_size = batch > 0 ? (int64_t)batch : setting->model->batch_size;
    setting->threads = (int)threads;
    setting->windows = (int)windows;
    setting->epochs = (int)epochs;
    setting->filter = o->filter;
    setting->inputs = o->inputs;
    return 0;
}

/** In a process of its own: measures what `what` says, and prints the rows. */
static int measure(const bench_options *o, const char *what) {
    bench_setting setting = {0};
    int code = read_setting(o, &setting);
    if (code)
        return code;
    if (strcmp(what, "compare") == 0 && setting.model->family != BENCH_IMAGES)
        return complain("--model", o->models, "mlp, lenet or cnn for compare");
    if (strcmp(what, "train") != 0 && strcmp(what, "ops") != 0 && strcmp(what, "compare") != 0 &&
        strcmp(what, "limits") != 0)
        return complain("command", o->command, "train, ops or compare");
    json_t *rows = NULL;
    code = strcmp(what, "train") == 0     ? bench_train(&setting, &rows)
           : strcmp(what, "ops") == 0     ? bench_ops(&setting, &rows)
           : strcmp(what, "compare") == 0 ? bench_compare(&setting, &rows)
                                          : bench_limits(&setting, &rows);
    if (code != 0)
        return code;
    json_dumpf(rows, stdout, JSON_COMPACT);
    json_decref(rows);
    return 0;
}

/** Settings that depend on the command, where none were given. */
static void fill_defaults(bench_options *o) {
    bool ops = strcmp(o->command, "ops") == 0, compare = strcmp(o->command, "compare") == 0;
    o->models = o->models ? o->models : compare ? "lenet" : "mlp,lenet,cnn";
    o->threads = o->threads ? o->threads : compare ? "0" : "1,2";
    o->devices = o->devices ? o->devices : compare ? "cpu,cuda:0" : "cpu";
    o->seconds = o->seconds ? o->seconds : ops ? "0.05" : "0.7";
    if (ops)
        o->models = "mlp"; /* not looked at */
}

int main(int argc, char **argv) {
    bench_options o = {.filter = "",
                       .inputs = "",
                       .batch_sizes = "",
                       .providers = "all",
                       .precision = "f32",
                       .roof = "",
                       .target = "0.99",
                       .epochs = "10",
                       .windows = "7",
                       .data = {BENCH_DATA "/mnist/data",
                                BENCH_DATA "/text_classification/data/spam.train.csv.gz",
                                BENCH_DATA "/forecasting/data/seattle-weather.csv"}};
    standard_streams_guard("quern-bench", 1);
    json_set_alloc_funcs(bench_alloc, free);
    argp_err_exit_status = BENCH_BAD_INPUT;
    if (argp_parse(&argp, argc, argv, 0, NULL, &o) == ENOMEM)
        return bench_io_error("the command line", ENOMEM);
    const bool measures = o.command && strncmp(o.command, "measure-", 8) == 0;
    if (!o.command || !(measures || bench_layout_of(o.command)))
        return complain("command", o.command ? o.command : "", "train, ops or compare");
    fill_defaults(&o);
    if (measures)
        return measure(&o, o.command + 8);
    o.argc = argc;
    o.argv = argv;
    return bench_command(&o);
}
