/* text_bytes.c: reads text files, and makes UTF-8 of Latin-1. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text_bytes.h"

bool qni_is_utf8(const void *bytes, size_t size) {
    const uint8_t *at = bytes, *end = at + size;
    while (at < end) {
        utf8proc_int32_t code;
        utf8proc_ssize_t length = *at < 0x80 ? 1 : utf8proc_iterate(at, end - at, &code);
        if (length <= 0) {
            return false;
        }
        at += length;
    }
    return true;
}

uint8_t *qni_utf8_from_latin1(const void *bytes, size_t size, size_t *out_size) {
    const uint8_t *from = bytes;
    size_t needed = size;
    for (size_t i = 0; i < size; i++) {
        needed += from[i] >= 0x80;
    }
    uint8_t *out = malloc(needed + 1), *to = out;
    if (!out) {
        return NULL;
    }
    for (size_t i = 0; i < size; i++) {
        if (from[i] < 0x80) {
            *to++ = from[i];
        } else {
            *to++ = (uint8_t)(0xc0 | from[i] >> 6);
            *to++ = (uint8_t)(0x80 | (from[i] & 0x3f));
        }
    }
    *to = 0;
    *out_size = needed;
    return out;
}

static qn_status check_no_zero(qn_context *ctx, const char *path, const qni_bytes *bytes) {
    const uint8_t *zero = bytes->size ? memchr(bytes->data, 0, bytes->size) : NULL;
    if (!zero) {
        return QN_OK;
    }
    long long line = 1;
    for (const uint8_t *at = bytes->data; at < zero; at++) {
        line += *at == '\n';
    }
    return qn_context_fail(ctx, QN_BAD_FORMAT,
                           "%s:%lld: a zero byte, expected text in UTF-8 or Latin-1", path, line);
}

static qn_status make_utf8(qn_context *ctx, const char *path, qni_bytes *bytes) {
    if (qni_is_utf8(bytes->data, bytes->size)) {
        return QN_OK;
    }
    size_t size;
    uint8_t *data = qni_utf8_from_latin1(bytes->data, bytes->size, &size);
    if (!data) {
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: no memory for the text", path);
    }
    free(bytes->data);
    *bytes = (qni_bytes){data, size};
    return QN_OK;
}

qn_status qni_text_read(qn_context *ctx, const char *path, qni_bytes *out) {
    *out = (qni_bytes){0};
    qni_bytes bytes;
    qn_status status = qni_bytes_read(ctx, path, &bytes);
    if (status == QN_OK) {
        status = check_no_zero(ctx, path, &bytes);
    }
    if (status == QN_OK && bytes.size >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0) {
        bytes.size -= 3;
        memmove(bytes.data, bytes.data + 3, bytes.size);
    }
    if (status == QN_OK) {
        status = make_utf8(ctx, path, &bytes);
    }
    if (status != QN_OK) {
        free(bytes.data);
        return status;
    }
    *out = bytes;
    return QN_OK;
}
