/* scratch.h: a context and a folder of its own for each test that reads and writes files. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "quern.h"
#include "test_device.h"

static qn_context *ctx;
static char scratch_folder[128];

/* A file in the folder. Valid until the fourth call from here. */
static inline const char *scratch_path(const char *name) {
    static char paths[4][256];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", scratch_folder, name);
    return path;
}

static inline void scratch_open(void) {
    const char *base = getenv("TMPDIR");
    snprintf(scratch_folder, sizeof(scratch_folder), "%.100s/quern-XXXXXX", base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(scratch_folder));
    ctx = qn_context_new(test_device());
}

/* Number of files in the folder; with `removes`, they are removed. */
static inline int scratch_files(bool removes) {
    int count = 0;
    DIR *folder = opendir(scratch_folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] != '.') {
            count++;
            if (removes)
                unlink(scratch_path(entry->d_name));
        }
    }
    if (folder)
        closedir(folder);
    return count;
}

static inline void scratch_close(void) {
    qn_context_free(ctx);
    scratch_files(true);
    rmdir(scratch_folder);
}

static inline const char *scratch_write(const char *name, const void *data, size_t size) {
    const char *path = scratch_path(name);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, size, file), size);
    fclose(file);
    return path;
}

/* The same, as one gzip member. */
static inline const char *scratch_write_gzip(const char *name, const void *data, size_t size) {
    const char *path = scratch_path(name);
    gzFile file = gzopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(gzwrite(file, data, (unsigned)size), (int)size);
    gzclose(file);
    return path;
}

/* All of a file, to be freed. */
static inline char *scratch_read(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size + 1);
    cr_assert_eq(fread(data, 1, *size, file), *size);
    data[*size] = 0;
    fclose(file);
    return data;
}

static inline void expect_message(qn_status status, const char *message) {
    cr_assert_eq(qn_context_error(ctx, NULL), status, "%s", qn_context_message(ctx));
    cr_assert_str_eq(qn_context_message(ctx), message);
    qn_context_clear_error(ctx);
}

/* The context's error is `status`, and its message the file's path and `rest`. */
static inline void expect_file_error(qn_status status, const char *name, const char *rest) {
    char expected[512];
    snprintf(expected, sizeof(expected), "%s%s", scratch_path(name), rest);
    expect_message(status, expected);
}

#endif
