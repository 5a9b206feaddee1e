/* example_run.c: training and evaluation, with what is printed of them. */
#define _GNU_SOURCE /* for mempcpy() */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "example_private.h"

#define PATH_SIZE 4096

/** Where a file goes that no option names: beside `path`, or NAME in the current folder, with
 * another ending. */
static const char *beside(const char *path, const char *ending, char out[PATH_SIZE]) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    int stem =
        dot && dot != path && (!slash || dot > slash + 1) ? (int)(dot - path) : (int)strlen(path);
    snprintf(out, PATH_SIZE, "%.*s%s", stem, path, ending);
    return out;
}

/** Prints a word so that a shell reads it back as it is. */
static void print_word(const char *word) {
    if (*word && !strpbrk(word, " \t\n\"'\\$`&|;<>()*?[]{}#~!")) {
        printf(" %s", word);
        return;
    }
    fputs(" '", stdout);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*word);
    putchar('\'');
}

void example_print_resume(const example_options *options, const char *checkpoint) {
    fputs("continue with:", stdout);
    for (int i = 0; i < options->argc; i++)
        print_word(options->argv[i]);
    if (!options->resume) {
        fputs(" --resume", stdout);
        print_word(checkpoint);
    }
    putchar('\n');
}

static void print_result(const qn_fit_result *result, const qn_fit_opts *opts) {
    char loss[32];
    printf("%d epoch%s in %.1f s, %.0f samples/s", result->epochs, result->epochs == 1 ? "" : "s",
           result->seconds, result->samples_per_second);
    if (isfinite(result->test.accuracy))
        printf(", test accuracy %.2f %%", 100 * result->test.accuracy);
    else
        printf(", test loss %s", example_measure_text(result->test.loss, loss));
    printf("\nmodel: %s\n", opts->save);
    if (opts->log)
        printf("log: %s\n", opts->log);
    if (opts->report)
        printf("report: %s\n", opts->report);
    if (opts->tensorboard)
        printf("TensorBoard: tensorboard --logdir %s\n", opts->tensorboard);
}

/** Bytes of the character of UTF-8 at `text`; 0 where there is none. */
static size_t character(const unsigned char *text) {
    const size_t bytes = *text < 0x80                    ? 1
                         : *text >= 0xc2 && *text < 0xe0 ? 2
                         : *text >= 0xe0 && *text < 0xf0 ? 3
                         : *text >= 0xf0 && *text < 0xf5 ? 4
                                                         : 0;
    for (size_t i = 1; i < bytes; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

/** A text with the bytes that are no UTF-8 written as \\xE9, so that names of files can stand in a
 * model's metadata, log and report whatever they are made of. To be freed. */
static char *as_utf8(const char *text) {
    char *out = malloc(4 * strlen(text) + 1), *next = out;
    for (const unsigned char *c = (const unsigned char *)text; out && *c;) {
        const size_t bytes = character(c);
        if (bytes > 0)
            next = mempcpy(next, c, bytes);
        else
            next += sprintf(next, "\\x%02X", *c);
        c += bytes > 0 ? bytes : 1;
    }
    if (out)
        *next = '\0';
    return out;
}

/** The run's settings as UTF-8, in memory for free_settings(); false when that is out. */
static bool settings_as_utf8(qn_fit_opts *opts) {
    const int count = opts->settings_count;
    qn_metadata *settings = calloc((size_t)count + 1, sizeof(*settings));
    bool made = settings != NULL;
    for (int i = 0; i < count && made; i++) {
        settings[i] = (qn_metadata){opts->settings[i].key, as_utf8(opts->settings[i].value)};
        made = settings[i].value != NULL;
    }
    opts->settings = settings;
    return made;
}

static void free_settings(qn_fit_opts *opts) {
    for (int i = 0; opts->settings && i < opts->settings_count; i++)
        free((char *)opts->settings[i].value);
    free((qn_metadata *)opts->settings);
}

int example_fit(const example_options *options, qn_module *module, qn_dataset *train,
                qn_dataset *test, qn_fit_opts opts) {
    char model[PATH_SIZE], checkpoint[PATH_SIZE];
    qn_fit_result result;
    opts.save =
        options->save ? options->save : beside(example_running->name, ".safetensors", model);
    opts.checkpoint = options->checkpoint ? options->checkpoint
                      : options->resume   ? options->resume
                                          : beside(opts.save, ".checkpoint", checkpoint);
    opts.log = options->log;
    opts.report = options->report;
    opts.tensorboard = options->tensorboard;
    opts.resume = options->resume;
    opts.seed = options->seed;
    opts.test = test;
    if (!opts.validation)
        opts.validation = test;
    opts.progress = !options->quiet;
    opts.handle_interrupt = true;
    if (!opts.result)
        opts.result = &result;
    if (options->load && options->resume)
        return example_error("--load starts anew and --resume goes on: give one of them");
    if (!settings_as_utf8(&opts)) {
        free_settings(&opts);
        example_error("out of memory");
        return EXAMPLE_FAILED;
    }
    qn_status status = qn_fit(module, train, &opts);
    free_settings(&opts);
    if (status == QN_INTERRUPTED) {
        example_print_resume(options, opts.checkpoint);
        return EXAMPLE_SIGNALLED + opts.result->signal;
    }
    if (status == QN_OK)
        print_result(opts.result, &opts);
    return example_status(qn_dataset_context(train));
}

int example_evaluate(const example_options *options, qn_module *module, qn_dataset *test) {
    qn_context *ctx = qn_dataset_context(test);
    qn_metrics metrics = qn_evaluate(module, test, NULL, options->batch_size);
    int code = example_status(ctx);
    if (code != EXAMPLE_OK)
        return code;
    if (options->json) {
        fputs("{\"event\": \"evaluate\"", stdout);
        example_json_member(stdout, "test_accuracy", metrics.accuracy);
        example_json_member(stdout, "test_loss", metrics.loss);
        printf(", \"samples\": %lld, \"seconds\": %.3f}\n", (long long)metrics.samples,
               metrics.seconds);
    } else {
        char loss[32];
        printf("test accuracy %.2f %%, test loss %s, %lld samples in %.1f s\n",
               100 * metrics.accuracy, example_measure_text(metrics.loss, loss),
               (long long)metrics.samples, metrics.seconds);
    }
    return EXAMPLE_OK;
}

void example_json_text(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    fputc('"', out);
}
