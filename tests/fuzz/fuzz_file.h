/* fuzz_file.h: the fuzzer's bytes as a file in memory, for readers that take a path. */
#ifndef FUZZ_FILE_H
#define FUZZ_FILE_H

#define _GNU_SOURCE /* for memfd_create() */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "quern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file in memory, the same each time, and its path. */
static int fuzz_fd = -1;

static inline const char *fuzz_file_path(void) {
    static char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fuzz_fd);
    return path;
}

/* The path of a file with these bytes. */
static inline const char *fuzz_file(const uint8_t *data, size_t size) {
    if (fuzz_fd < 0)
        fuzz_fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (ftruncate(fuzz_fd, 0) != 0 || pwrite(fuzz_fd, data, size, 0) != (ssize_t)size) {
        abort(); /* the machine's fault, not the reader's */
    }
    return fuzz_file_path();
}

/* The context that all inputs share, without the last one's error. */
static inline qn_context *fuzz_context(void) {
    static qn_context *ctx;
    if (!ctx)
        ctx = qn_context_new("cpu");
    qn_context_clear_error(ctx);
    return ctx;
}

/* A reader either succeeds, or leaves an error with a message. */
static inline void fuzz_check(qn_context *ctx, bool succeeded) {
    if (succeeded != (qn_context_error(ctx, NULL) == QN_OK) ||
        succeeded != (qn_context_message(ctx)[0] == 0)) {
        abort();
    }
}

#endif
