/* file_bytes.c: reads whole files into memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "file_bytes.h"

enum { FIRST_CAPACITY = 1 << 16, HUGE_PAGE = 1 << 21 };

uint8_t *qni_bytes_room(size_t bytes) {
    void *room = NULL;
    if (bytes < HUGE_PAGE)
        return malloc(bytes);
    if (posix_memalign(&room, HUGE_PAGE, bytes) != 0)
        return NULL;
    madvise(room, bytes, MADV_HUGEPAGE); /* a wish: failure changes nothing */
    return room;
}

/* Bytes to make room for: one more than the file has, so that its end is seen without growing.
 * Where the file does not tell, *bounded is set: it might have no end. */
static size_t expected_size(FILE *file, bool *bounded) {
    struct stat info;
    *bounded = fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size <= 0;
    return *bounded ? FIRST_CAPACITY : (size_t)info.st_size + 1;
}

qn_status qni_bytes_over_limit(qn_context *ctx, const char *path) {
    return qn_context_fail(ctx, QN_BAD_FORMAT,
                           "%s: more than %zu bytes, the limit for what tells no size before "
                           "(qn_context_set_read_limit)",
                           path, qn_context_read_limit(ctx));
}

static qn_status read_stream(qn_context *ctx, const char *path, FILE *file, qni_bytes *out) {
    bool bounded;
    size_t capacity = expected_size(file, &bounded);
    out->data = qni_bytes_room(capacity);
    while (out->data) {
        out->size += fread(out->data + out->size, 1, capacity - out->size, file);
        if (ferror(file))
            return qn_context_fail_io(ctx, errno, "%s: offset %zu", path, out->size);
        if (out->size < capacity)
            return QN_OK;
        if (bounded && out->size > qn_context_read_limit(ctx))
            return qni_bytes_over_limit(ctx, path);
        capacity *= 2;
        uint8_t *grown = realloc(out->data, capacity);
        if (!grown)
            break;
        out->data = grown;
    }
    return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %zu bytes", path,
                           capacity);
}

static bool is_gzip(const qni_bytes *bytes) {
    return bytes->size >= 2 && bytes->data[0] == 0x1f && bytes->data[1] == 0x8b;
}

qn_status qni_bytes_read(qn_context *ctx, const char *path, qni_bytes *out) {
    *out = (qni_bytes){0};
    qn_status earlier = qn_context_error(ctx, NULL);
    if (earlier)
        return earlier;
    if (!path)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "the name of the file to read is NULL");
    const bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file)
        return qn_context_fail_io(ctx, errno, "%s", path);
    if (!standard) {
        setvbuf(file, NULL, _IONBF, 0); /* reads go straight to the destination */
    }
    qni_bytes bytes = {0};
    qn_status status = read_stream(ctx, path, file, &bytes);
    if (!standard)
        fclose(file);
    if (status == QN_OK && is_gzip(&bytes)) {
        status = qni_gunzip(ctx, path, &bytes, out);
        free(bytes.data);
        return status;
    }
    if (status != QN_OK) {
        free(bytes.data);
        return status;
    }
    *out = bytes;
    return QN_OK;
}
