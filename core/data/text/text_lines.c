/* text_lines.c: the lines of a text file one after the other, plain or gzip, without holding the
 * file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "data/text_bytes.h"

enum { FIRST_ROOM = 1 << 12, MOST_ROOM = 1 << 30 };

struct qn_text_lines {
    qn_context *ctx;
    char *path;
    gzFile file;
    char *line, *decoded; /* as it lies in the file; as UTF-8, where that differs */
    size_t room;
    int64_t number;
};

static void destroy_lines(void *object) {
    qn_text_lines *lines = object;
    if (lines->file)
        gzclose(lines->file);
    free(lines->line);
    free(lines->decoded);
    free(lines->path);
}

/** zlib reads what is no gzip as it is. */
static gzFile open_path(const char *path) {
    if (strcmp(path, "-") != 0)
        return gzopen(path, "rbe");
    const int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    gzFile file = fd >= 0 ? gzdopen(fd, "rb") : NULL;
    if (fd >= 0 && !file)
        close(fd);
    return file;
}

qn_text_lines *qn_text_lines_open(qn_context *ctx, const char *path) {
    if (qn_context_error(ctx, NULL) != QN_OK)
        return NULL;
    if (!path) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "the name of the file of texts is NULL");
        return NULL;
    }
    qn_text_lines *lines = qn_object_new(ctx, "text_lines", sizeof(*lines), destroy_lines);
    if (lines) {
        lines->ctx = ctx;
        lines->path = strdup(path);
        lines->line = malloc(FIRST_ROOM);
        lines->room = FIRST_ROOM;
    }
    if (!lines || !lines->path || !lines->line) {
        qn_text_lines_free(lines);
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory while reading it", path);
        return NULL;
    }
    errno = 0;
    lines->file = open_path(path);
    if (!lines->file) {
        qn_context_fail_io(ctx, errno ? errno : ENOMEM, "%s", path);
        qn_text_lines_free(lines);
        return NULL;
    }
    return lines;
}

void qn_text_lines_free(qn_text_lines *lines) { qn_object_free(lines, "text_lines_free"); }

int64_t qn_text_lines_number(const qn_text_lines *lines) {
    return qn_object_alive(lines, "text_lines_number") ? lines->number : 0;
}

qn_status qni_gzip_status(qn_context *ctx, struct gzFile_s *file, const char *path,
                          int64_t number) {
    int code;
    const char *words = gzerror(file, &code);
    if (code == Z_OK || code == Z_STREAM_END)
        return QN_OK;
    if (code == Z_ERRNO || code == Z_MEM_ERROR)
        return qn_context_fail_io(ctx, code == Z_ERRNO ? errno : ENOMEM, "%s:%lld", path,
                                  (long long)number);
    return qn_context_fail(ctx, QN_BAD_FORMAT, "%s:%lld: %s", path, (long long)number, words);
}

static bool grow(qn_text_lines *lines) {
    char *line = lines->room < MOST_ROOM ? realloc(lines->line, 2 * lines->room) : NULL;
    if (!line) {
        qn_context_fail(lines->ctx, QN_OUT_OF_MEMORY,
                        "%s:%lld: out of memory for a line of %zu bytes", lines->path,
                        (long long)lines->number, lines->room);
        return false;
    }
    lines->line = line;
    lines->room *= 2;
    return true;
}

/** Reads a line with its end into lines->line; its length, 0 at the end of
 * the file, -1 on failure. */
static int64_t read_line(qn_text_lines *lines) {
    size_t length = 0;
    lines->number++;
    for (;;) {
        const int byte = gzgetc(lines->file);
        if (byte < 0) {
            if (qni_gzip_status(lines->ctx, lines->file, lines->path, lines->number) != QN_OK)
                return -1;
            break;
        }
        if (byte == '\0') {
            qn_context_fail(lines->ctx, QN_BAD_FORMAT,
                            "%s:%lld: a zero byte, expected text in UTF-8", lines->path,
                            (long long)lines->number);
            return -1;
        }
        if (length + 2 > lines->room && !grow(lines))
            return -1;
        lines->line[length++] = (char)byte;
        if (byte == '\n')
            break;
    }
    lines->line[length] = '\0';
    return (int64_t)length;
}

const char *qn_text_lines_next(qn_text_lines *lines) {
    static const char mark[] = "\xef\xbb\xbf";
    if (!qn_object_alive(lines, "text_lines_next") || qn_context_error(lines->ctx, NULL) != QN_OK)
        return NULL;
    int64_t length = read_line(lines);
    if (length <= 0)
        return NULL;
    char *text = lines->line;
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        text[--length] = '\0';
    if (lines->number == 1 && strncmp(text, mark, 3) == 0)
        text += 3;
    if (qn_utf8_prefix(text, strlen(text)) == strlen(text))
        return text;
    size_t size;
    free(lines->decoded);
    lines->decoded = (char *)qni_utf8_from_lines(text, strlen(text), &size, NULL, NULL);
    if (!lines->decoded)
        qn_context_fail(lines->ctx, QN_OUT_OF_MEMORY, "%s:%lld: out of memory for a line",
                        lines->path, (long long)lines->number);
    return lines->decoded;
}
