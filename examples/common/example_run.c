/* example_run.c: training and evaluation, with what is printed of them. */
#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

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

/** Finds out before a long run that its results could not be written after it. */
static int check_output(const char *path) {
    char copy[PATH_SIZE];
    if (!path)
        return EXAMPLE_OK;
    if (snprintf(copy, sizeof(copy), "%s", path) >= PATH_SIZE)
        return example_error("file name too long: '%s'", path);
    const char *folder = dirname(copy);
    if (access(folder, W_OK) != 0)
        return example_error("cannot write '%s': %s", path, strerror(errno));
    return EXAMPLE_OK;
}

/** Files that would be written over each other. */
static int check_distinct(const qn_fit_opts *opts) {
    const char *const paths[] = {opts->save, opts->checkpoint, opts->log, opts->report};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        for (size_t j = 0; j < i; j++)
            if (paths[i] && paths[j] && strcmp(paths[i], paths[j]) == 0)
                return example_error("'%s' cannot be two of model, checkpoint, log and report",
                                     paths[i]);
    return EXAMPLE_OK;
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
    printf("%d epoch%s in %.1f s, %.0f samples/s", result->epochs, result->epochs == 1 ? "" : "s",
           result->seconds, result->samples_per_second);
    if (isfinite(result->test.accuracy))
        printf(", test accuracy %.2f %%", 100 * result->test.accuracy);
    else
        printf(", test loss %.4f", result->test.loss);
    printf("\nmodel: %s\n", opts->save);
    if (opts->log)
        printf("log: %s\n", opts->log);
    if (opts->report)
        printf("report: %s\n", opts->report);
    if (opts->tensorboard)
        printf("TensorBoard: tensorboard --logdir %s\n", opts->tensorboard);
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
    if (opts.validation)
        opts.test = test;
    else
        opts.validation = test;
    opts.progress = !options->quiet;
    opts.handle_interrupt = true;
    if (!opts.result)
        opts.result = &result;
    int code = check_distinct(&opts);
    if (code == EXAMPLE_OK)
        code = check_output(opts.save);
    if (code == EXAMPLE_OK)
        code = check_output(opts.report);
    if (code != EXAMPLE_OK)
        return code;
    qn_status status = qn_fit(module, train, &opts);
    if (status == QN_INTERRUPTED) {
        example_print_resume(options, opts.checkpoint);
        return EXAMPLE_INTERRUPTED;
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
    if (options->json)
        printf("{\"event\": \"evaluate\", \"test_accuracy\": %.10g, \"test_loss\": %.10g, "
               "\"samples\": %lld, \"seconds\": %.3f}\n",
               metrics.accuracy, metrics.loss, (long long)metrics.samples, metrics.seconds);
    else
        printf("test accuracy %.2f %%, test loss %.4f, %lld samples in %.1f s\n",
               100 * metrics.accuracy, metrics.loss, (long long)metrics.samples, metrics.seconds);
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
