/* example.c: from the command line to the exit code. */
#include "example_private.h"
#include "standard_streams.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const example_program *example_running;

/** Prints "NAME: message", and after it ": " and the reason, where there is one, as a line. */
static void print_error(const char *reason, const char *format, va_list arguments) {
    fprintf(stderr, "%s: ", example_running->name);
    vfprintf(stderr, format, arguments);
    if (reason)
        fprintf(stderr, ": %s", reason);
    fputc('\n', stderr);
}

int example_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_error(NULL, format, arguments);
    va_end(arguments);
    return EXAMPLE_BAD_INPUT;
}

int example_io_error(int error, const char *format, ...) {
    const bool memory = error == ENOMEM;
    va_list arguments;
    va_start(arguments, format);
    print_error(memory ? "out of memory" : strerror(error), format, arguments);
    va_end(arguments);
    return memory ? EXAMPLE_FAILED : EXAMPLE_BAD_INPUT;
}

void example_notes(const char *notes) {
    for (const char *end; (end = strchr(notes, '\n')); notes = end + 1)
        fprintf(stderr, "%s: %.*s\n", example_running->name, (int)(end - notes), notes);
}

int example_status(const qn_context *ctx) {
    qn_status status = qn_context_error(ctx, NULL);
    if (status == QN_OK)
        return EXAMPLE_OK;
    example_error("%s", ctx ? qn_context_message(ctx) : qn_status_string(status));
    bool machine =
        status == QN_OUT_OF_MEMORY || status == QN_DEVICE_ERROR || status == QN_INTERNAL_ERROR;
    return machine ? EXAMPLE_FAILED : EXAMPLE_BAD_INPUT;
}

int example_open(const example_options *options, qn_context **ctx) {
    *ctx = qn_context_new(options->device);
    if (*qn_context_notice(*ctx))
        fprintf(stderr, "%s: %s; going on with %s\n", example_running->name,
                qn_context_notice(*ctx), qn_context_device(*ctx));
    qn_context_set_threads(*ctx, options->threads);
    qn_context_seed(*ctx, options->seed);
    qn_context_set_matmul_precision(*ctx, options->precision);
    int code = example_status(*ctx);
    /* A device that is not there was asked for on the command line. */
    return qn_context_error(*ctx, NULL) == QN_DEVICE_ERROR ? EXAMPLE_BAD_INPUT : code;
}

static void print_verified(const example_options *options, const qn_tensor_file *file) {
    const int tensors = qn_tensor_file_count(file);
    const bool checksums = qn_tensor_file_has_checksums(file);
    if (!options->json) {
        printf("%s: %d tensors, %s\n", options->verify, tensors,
               checksums ? "as they were written" : "which have no checksums");
        return;
    }
    fputs("{\"event\": \"verify\", \"file\": ", stdout);
    example_json_text(stdout, options->verify);
    printf(", \"tensors\": %d, \"checksums\": %s}\n", tensors, checksums ? "true" : "false");
}

int example_verify(const example_options *options) {
    qn_context *ctx = qn_context_new("cpu");
    qn_tensor_file *file = qn_tensor_file_open(ctx, options->verify);
    if (qn_tensor_file_verify(file) == QN_OK)
        print_verified(options, file);
    const int code = example_status(ctx);
    qn_context_free(ctx);
    return code;
}

bool example_has_stdin(void) {
    struct stat info;
    return fstat(STDIN_FILENO, &info) == 0 &&
           (S_ISFIFO(info.st_mode) || S_ISREG(info.st_mode) || S_ISSOCK(info.st_mode));
}

const char *example_data_path(const char *path, char *out, size_t size) {
    const char *root = getenv("QUERN_DATA_DIR");
    if (root && *root && *path != '/' && strcmp(path, "-") != 0 && access(path, F_OK) != 0) {
        snprintf(out, size, "%s/%s", root, path);
        if (access(out, F_OK) == 0)
            return out;
    }
    snprintf(out, size, "%s", path);
    return out;
}

const char *example_data_folder(const example_options *options, char *out, size_t size) {
    const char *name = example_running->name, *root = getenv("QUERN_DATA_DIR");
    if (options->data)
        return example_data_path(options->data, out, size);
    if (root && *root) {
        snprintf(out, size, "%s/%s", root, name);
        if (access(out, R_OK) == 0)
            return out;
    }
    snprintf(out, size, "examples/%s/data", name);
    if (access(out, R_OK) != 0)
        snprintf(out, size, "%s/%s/data", EXAMPLES_DIR, name);
    return out;
}

/** Opens the context that the options name and runs their command. */
static int run(const example_program *program, const example_options *options) {
    qn_context *ctx;
    int code = example_open(options, &ctx);
    if (code == EXAMPLE_OK && options->command == EXAMPLE_TRAIN)
        code = program->train(options, ctx);
    else if (code == EXAMPLE_OK && options->command == EXAMPLE_EVALUATE)
        code = program->evaluate(options, ctx);
    else if (code == EXAMPLE_OK)
        code = program->predict(options, ctx);
    qn_context_free(ctx);
    return code;
}

int example_main(const example_program *program, int argc, char **argv) {
    example_running = program;
    standard_streams_guard(program->name, EXAMPLE_BAD_INPUT);
    example_options options = {
        .seed = 1, .device = "auto", .model = program->models[0], .argc = argc, .argv = argv};
    options.inputs = calloc((size_t)argc + 1, sizeof(*options.inputs));
    if (!options.inputs) {
        example_error("out of memory");
        return EXAMPLE_FAILED;
    }
    int code = example_parse(program, argc, argv, &options);
    if (code == EXAMPLE_OK)
        code = options.verify ? example_verify(&options) : run(program, &options);
    free(options.inputs);
    return code;
}
