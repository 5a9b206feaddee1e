/* bench_command.c: see bench_command.h. */
#include "bench_command.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "bench_instances.h"

enum { LONGEST_LIST = 16, TEXT = 256 };

/** A list of the command line, cut up. */
typedef struct list {
    char text[TEXT];
    char *item[LONGEST_LIST];
    int count;
} list;

static void split(list *l, const char *text) {
    l->count = 0;
    snprintf(l->text, sizeof(l->text), "%s", text);
    for (char *save = NULL, *item = strtok_r(l->text, ",", &save); item && l->count < LONGEST_LIST;
         item = strtok_r(NULL, ",", &save))
        l->item[l->count++] = item;
    if (l->count == 0)
        l->item[l->count++] = l->text; /* the empty one: each model's own */
}

/** One measurement: an item of each list. */
typedef struct one {
    const char *model, *batch_size, *threads, *device, *provider;
    char roof[64]; /**< GFLOP/s and GB/s that its floor is counted with; "" for unknown */
} one;

/* ---- a process a measurement ---------------------------------------------------------------- */

static void be_child(const bench_options *o, const char *what, const one *s, int output) {
    char command[TEXT];
    snprintf(command, sizeof(command), "measure-%s", what);
    dup2(output, STDOUT_FILENO);
    if (strcmp(s->provider, "all") != 0)
        setenv("QUERN_PROVIDERS", s->provider, 1);
    execl("/proc/self/exe", "quern-bench", command, "--model", s->model, "--op", o->filter,
          "--inputs", o->inputs, "--batch-size", s->batch_size, "--threads", s->threads,
          "--devices", s->device, "--roof", s->roof, "--precision", o->precision,
          "--target-accuracy", o->target, "--epochs", o->epochs, "--seconds", o->seconds,
          "--windows", o->windows, "--data", o->data[BENCH_IMAGES], "--text", o->data[BENCH_TEXTS],
          "--series", o->data[BENCH_SERIES], (char *)NULL);
    _exit(127);
}

/** What a measuring process printed; NULL, and its exit code, when it failed (it has said why). */
static json_t *run_child(const bench_options *o, const char *what, const one *s, int *code) {
    int ends[2], status = 0;
    fflush(stdout);
    *code = 1;
    if (pipe(ends) != 0)
        return NULL;
    pid_t child = fork();
    if (child == 0)
        be_child(o, what, s, ends[1]);
    close(ends[1]);
    json_t *rows = child < 0 ? NULL : json_loadfd(ends[0], 0, NULL);
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status)) {
        fprintf(stderr, "quern-bench: a measurement could not be run: %s\n", strerror(errno));
        json_decref(rows);
        return NULL;
    }
    *code = WEXITSTATUS(status);
    if (*code == 0 && rows)
        return rows;
    json_decref(rows);
    return NULL;
}

/** Says on a terminal what is being measured; the line is taken back. */
static void progress(const one *s, int done, int all) {
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%d of %d: %s %s, %s threads, %s", done + 1, all, s->model,
                s->device, *s->threads == '0' ? "all" : s->threads, s->provider);
}

static void progress_end(void) {
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static double number(const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/** The limits that were measured for a row's device and threads; NULL for none. */
static const json_t *limits_of(const json_t *limits, const json_t *row) {
    size_t i;
    const json_t *limit;
    json_array_foreach(limits, i, limit) {
        if (json_equal(json_object_get(limit, "device"), json_object_get(row, "device")) &&
            json_equal(json_object_get(limit, "threads"), json_object_get(row, "threads")))
            return limit;
    }
    return NULL;
}

/** The fastest arithmetic that was measured. */
static double peak_gflops(const json_t *limit) {
    return fmax(number(limit, "fma_gflops"), number(limit, "sgemm_gflops")); /* passes over NaN */
}

/** How much of the machine's limits a row reaches: of the peak for a training, for an operation the
 * time of its floor (bytes or arithmetic, the longer) as part of its own. */
static void add_reached(const json_t *limits, json_t *row) {
    const json_t *limit = limits_of(limits, row);
    double part = number(row, "gflops") / peak_gflops(limit);
    double bytes = number(row, "gbs") / number(limit, "copy_gbs");
    if (json_object_get(row, "op"))
        part = fmax(part, bytes);
    if (!isnan(part))
        json_object_set_new(row, "reached", json_real(part));
}

static void add_dollars(const char *prices, json_t *row) {
    static const char *const keys[][2] = {{"epoch_seconds", "epoch_dollars"},
                                          {"target_seconds", "target_dollars"}};
    double price = bench_price(prices, json_string_value(json_object_get(row, "device")));
    for (size_t i = 0; i < 2; i++) {
        double seconds = number(row, keys[i][0]);
        if (!isnan(price) && !isnan(seconds))
            json_object_set_new(row, keys[i][1], json_real(price * seconds / 3600));
    }
}

/** Adds what a child measured to the document; an object is one row. */
static void collect(const bench_options *o, json_t *document, json_t *measured) {
    json_t *rows = json_object_get(document, "rows");
    if (json_is_array(measured))
        json_array_extend(rows, measured);
    else
        json_array_append(rows, measured);
    json_decref(measured);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        add_reached(json_object_get(document, "limits"), row);
        if (o->prices)
            add_dollars(o->prices, row);
    }
}

/* ---- all settings ---------------------------------------------------------------------------- */

/** The limits of a setting's device and threads that an earlier run measured; NULL for none. */
static json_t *known_limit(const json_t *known, const one *s) {
    json_t *row = json_pack("{s:s, s:i}", "device", s->device, "threads", atoi(s->threads));
    json_t *limit = json_incref((json_t *)limits_of(json_object_get(known, "limits"), row));
    json_decref(row);
    return limit;
}

/** The limits of each device and number of threads, once; those that `known` (or NULL) has are not
 * measured. */
static int find_limits(const bench_options *o, const list *devices, const list *threads,
                       const json_t *known, json_t *document) {
    json_t *limits = json_object_get(document, "limits");
    for (int d = 0; d < devices->count; d++)
        for (int t = 0; t < threads->count; t++) {
            int code = 0;
            one s = {"mlp", "", threads->item[t], devices->item[d], "all", ""};
            json_t *limit = known_limit(known, &s);
            if (!limit) {
                progress(&(one){"limits", "", s.threads, s.device, "", ""}, d * threads->count + t,
                         devices->count * threads->count);
                limit = run_child(o, "limits", &s, &code);
                progress_end();
            }
            if (!limit)
                return code ? code : 1;
            json_array_append_new(limits, limit);
        }
    return 0;
}

/** Writes the limits that a setting's floor is counted with. */
static void tell_roof(const json_t *limit, one *s) {
    double peak = peak_gflops(limit), copy = number(limit, "copy_gbs");
    s->roof[0] = '\0';
    if (!isnan(peak) && !isnan(copy))
        snprintf(s->roof, sizeof(s->roof), "%.3f,%.3f", peak, copy);
}

/** Whether a name means standard input or output. */
static bool is_standard(const char *path) { return strcmp(path, "-") == 0; }

/** Whether tables go to standard output, and not the JSON in their place. */
static bool shows_tables(const bench_options *o) { return !o->json || !is_standard(o->json); }

static void show_limits(const json_t *limits) {
    size_t i;
    const json_t *limit;
    json_array_foreach(limits, i, limit) printf(
        "%s, %.0f threads: multiply-adds %.0f, product of 2048^3 %.0f GFLOP/s, copy %.1f GB/s\n",
        json_string_value(json_object_get(limit, "device")), number(limit, "threads"),
        number(limit, "fma_gflops"), number(limit, "sgemm_gflops"), number(limit, "copy_gbs"));
}

/** Every setting in turn. A device that is missing is named, and the others go on (compare). */
static int measure_all(const bench_options *o, const bench_layout *layout, const json_t *known,
                       json_t *document) {
    list models, batches, threads, devices, providers;
    split(&models, o->models);
    split(&batches, o->batch_sizes);
    split(&threads, o->threads);
    split(&devices, o->devices);
    split(&providers, o->providers);
    bool compare = strcmp(layout->command, "compare") == 0;
    int code = compare ? 0 : find_limits(o, &devices, &threads, known, document);
    int all = models.count * batches.count * threads.count * devices.count * providers.count;
    int missing = 0;
    const json_t *limits = json_object_get(document, "limits");
    if (shows_tables(o))
        show_limits(limits);
    for (int i = 0; i < all && code == 0; i++) {
        int at = i; /* the last list turns fastest */
        one s;
        s.provider = providers.item[at % providers.count], at /= providers.count;
        const int device = at % devices.count, thread = at / devices.count % threads.count;
        s.device = devices.item[device], s.threads = threads.item[thread];
        at /= devices.count * threads.count;
        tell_roof(json_array_get(limits, (size_t)(device * threads.count + thread)), &s);
        s.batch_size = batches.item[at % batches.count], at /= batches.count;
        s.model = models.item[at];
        progress(&s, i, all);
        json_t *measured = run_child(o, layout->command, &s, &code);
        progress_end();
        if (measured)
            collect(o, document, measured);
        else if (compare && devices.count > 1 && ++missing < all)
            code = 0;
    }
    return code;
}

/* ---- the document ---------------------------------------------------------------------------- */

/** The command as it was typed. */
static json_t *command_line(const bench_options *o) {
    char text[1024] = "quern-bench";
    size_t used = strlen(text);
    for (int i = 1; i < o->argc && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, " %s", o->argv[i]);
    return json_string(text);
}

static json_t *machine(const bench_options *o, int *code) {
    struct utsname system;
    char date[32], kernel[TEXT];
    time_t now = time(NULL);
    uname(&system);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M", localtime(&now));
    snprintf(kernel, sizeof(kernel), "%s %s", system.sysname, system.release);
    qn_context *ctx = qn_context_new("cpu");
    json_t *facts =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:f}", "quern", qn_version(), "date", date,
                  "processor", qn_context_describe(ctx), "system", kernel, "compiler", __VERSION__,
                  "cores", (int)sysconf(_SC_NPROCESSORS_ONLN), "memory_gib",
                  (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / (1 << 30));
    json_object_set_new(facts, "command", command_line(o));
    *code = bench_close(ctx);
    return facts;
}

/** What an earlier run wrote by --json, which holds an array `part`; NULL after a line that says
 * what is wrong, with the exit code in *code. */
static json_t *load_earlier(const char *path, const char *part, int *code) {
    json_error_t error;
    FILE *file = is_standard(path) ? stdin : fopen(path, "r");
    if (!file) {
        *code = bench_io_error(path, errno);
        return NULL;
    }
    json_t *earlier = json_loadf(file, 0, &error);
    if (file != stdin)
        fclose(file);
    *code = BENCH_BAD_INPUT;
    if (earlier && json_is_array(json_object_get(earlier, part))) {
        *code = 0;
        return earlier;
    }
    if (earlier)
        fprintf(stderr, "quern-bench: %s: expected an object with \"%s\", as --json writes it\n",
                path, part);
    else
        fprintf(stderr, "quern-bench: %s: %s\n", path, error.text);
    json_decref(earlier);
    return NULL;
}

static void show(const bench_layout *layout, const json_t *document) {
    size_t i;
    const json_t *row;
    bench_print_head(layout);
    json_array_foreach(json_object_get(document, "rows"), i, row) bench_print_row(layout, row);
    json_array_foreach(json_object_get(document, "instances"), i, row) {
        if (i == 0)
            printf("\n%-14s %6s %6s  %-14s %9s  %s\n", "instance", "vCPUs", "GiB", "accelerator",
                   "$/hour", "price of");
        printf("%-14s %6.0f %6.0f  %-14s %9.4f  %s\n",
               json_string_value(json_object_get(row, "name")), number(row, "vcpus"),
               number(row, "memory_gib"), json_string_value(json_object_get(row, "accelerator")),
               number(row, "price"), json_string_value(json_object_get(row, "date")));
    }
}

/** Writes the document; the exit code. The stream tells of each write that failed, jansson not. */
static int write_json(const char *path, const json_t *document) {
    FILE *out = is_standard(path) ? stdout : fopen(path, "w");
    bool failed = !out || json_dumpf(document, out, JSON_INDENT(1)) != 0 || fflush(out) != 0 ||
                  ferror(out) != 0;
    int error = errno;
    if (out && out != stdout && fclose(out) != 0 && !failed) {
        error = errno;
        failed = true;
    }
    return failed ? bench_io_error(out == stdout ? "cannot write to standard output" : path, error)
                  : 0;
}

/** Measures, and shows and writes what came of it. */
static int make_document(const bench_options *o, const bench_layout *layout, const json_t *known,
                         const json_t *earlier, json_t *document) {
    int code = measure_all(o, layout, known, document);
    if (earlier)
        bench_mark_changes(layout, json_object_get(document, "rows"), earlier);
    if (shows_tables(o))
        show(layout, document);
    if (code == 0 && o->json && write_json(o->json, document) != 0)
        code = BENCH_FAILED;
    if (code == 0 && o->html && !bench_write_page(o->html, layout, document))
        code = BENCH_FAILED;
    return code;
}

/** A run whose files were read. */
static int run_command(const bench_options *o, const json_t *known, const json_t *earlier,
                       json_t *instances) {
    const bench_layout *layout = bench_layout_of(o->command);
    int code;
    json_t *document = json_pack("{s:s, s:o, s:[], s:[]}", "command", layout->command, "machine",
                                 machine(o, &code), "limits", "rows");
    if (instances)
        json_object_set(document, "instances", instances);
    if (code == 0)
        code = make_document(o, layout, known, earlier, document);
    json_decref(document);
    return code;
}

int bench_command(const bench_options *o) {
    bool compare = strcmp(o->command, "compare") == 0;
    int code = 0;
    json_t *earlier = o->baseline ? load_earlier(o->baseline, "rows", &code) : NULL;
    json_t *known = o->limits && code == 0 ? load_earlier(o->limits, "limits", &code) : NULL;
    json_t *instances = compare && code == 0 ? bench_instances(o->instances, &code) : NULL;
    if (code == 0)
        code = run_command(o, known, earlier, instances);
    json_decref(earlier);
    json_decref(known);
    json_decref(instances);
    return code;
}
