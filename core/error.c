/* error.c: statuses in words, and the one error that a context remembers. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "internal.h"

const char *qn_status_string(qn_status status) {
    static const char *const words[] = {
#define QN_STATUS_WORDS(name, text) text,
        QN_STATUS_LIST(QN_STATUS_WORDS)
#undef QN_STATUS_WORDS
    };
    size_t count = sizeof(words) / sizeof(words[0]);
    return (size_t)status < count ? words[status] : "unknown status";
}

const char *qn_dtype_string(qn_dtype dtype) {
    static const char *const words[] = {
#define QN_DTYPE_WORDS(name, type, text) text,
        QN_DTYPE_LIST(QN_DTYPE_WORDS)
#undef QN_DTYPE_WORDS
    };
    return (size_t)dtype < QN_DTYPE_COUNT ? words[dtype] : "unknown dtype";
}

size_t qn_dtype_bytes(qn_dtype dtype) {
    return (size_t)dtype < QN_DTYPE_COUNT ? qn_dtype_size(dtype) : 0;
}

/** Control characters become '?': messages name files and labels, and a terminal would do what
 * those say. In UTF-8 the second set of them is 0xc2 0x80 to 0xc2 0x9f. */
static void make_printable(char *message) {
    for (unsigned char *c = (unsigned char *)message; *c; c++)
        if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
            c[0] = c[1] = '?';
        else if (*c < 0x20 || *c == 0x7f)
            *c = '?';
}

/** Writes the name of the layer that runs and ": " before a message; gives the number of bytes. */
static size_t write_place(const qn_context *ctx, char *text, size_t size) {
    text[0] = '\0';
    if (!ctx->place || !ctx->place->describe)
        return 0;
    ctx->place->describe(ctx->place->object, text, size - 2);
    text[size - 3] = '\0';
    const size_t used = strlen(text);
    memcpy(text + used, ": ", 3);
    return used + 2;
}

/** Records a failure; a reason other than NULL stands at the end of its message, after ": ". */
static qn_status record(qn_context *ctx, qn_status status, const char *reason, const char *format,
                        va_list args) {
    if ((unsigned)status > QN_INTERNAL_ERROR) /* a callback's own number */
        status = QN_INVALID_ARGUMENT;
    if (!ctx || status == QN_OK || (ctx->status != QN_OK && !ctx->debug))
        return status;
    char message[QNI_MESSAGE_SIZE];
    size_t used = write_place(ctx, message, sizeof(message) / 2);
    void *locale = qn_locale_enter();
    vsnprintf(message + used, sizeof(message) - used, format, args);
    qn_locale_leave(locale);
    used = strlen(message);
    if (reason)
        snprintf(message + used, sizeof(message) - used, ": %s", reason);
    make_printable(message);
    if (ctx->debug)
        fprintf(stderr, "quern: debug: %s\n", message);
    if (ctx->status != QN_OK)
        return status;
    ctx->status = status;
    memcpy(ctx->message, message, sizeof(message));
    return status;
}

qn_status qn_context_fail(qn_context *ctx, qn_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    status = record(ctx, status, NULL, format, args);
    va_end(args);
    return status;
}

qn_status qn_context_fail_io(qn_context *ctx, int error, const char *format, ...) {
    const bool memory = error == ENOMEM;
    va_list args;
    va_start(args, format);
    const qn_status status = record(ctx, memory ? QN_OUT_OF_MEMORY : QN_IO_ERROR,
                                    memory ? "out of memory" : strerror(error), format, args);
    va_end(args);
    return status;
}

const qn_place *qn_context_set_place(qn_context *ctx, const qn_place *place) {
    const qn_place *outer = ctx ? ctx->place : NULL;
    if (ctx)
        ctx->place = place;
    return outer;
}

qn_status qn_context_error(const qn_context *ctx, FILE *stream) {
    if (!ctx) {
        if (stream)
            fprintf(stream, "%s\n", qn_status_string(QN_OUT_OF_MEMORY));
        return QN_OUT_OF_MEMORY;
    }
    if (ctx->status != QN_OK && stream)
        fprintf(stream, "%s\n", ctx->message);
    return ctx->status;
}

const char *qn_context_message(const qn_context *ctx) {
    return ctx ? ctx->message : qn_status_string(QN_OUT_OF_MEMORY);
}

void qn_context_clear_error(qn_context *ctx) {
    if (!ctx || ctx->freed)
        return;
    ctx->status = QN_OK;
    ctx->message[0] = '\0';
}
