/* text_bytes.c: reads text files, and makes UTF-8 of what they hold. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "data/text_bytes.h"

/* ---- Windows-1252 ----------------------------------------------------------------------- */

/** The characters of bytes 0x80 to 0x9f (the WHATWG's Encoding Standard, index windows-1252); all
 * others stand for themselves. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178};

enum { MOST_BYTES = 3 }; /* of one of these characters in UTF-8 */

static uint8_t *put_windows_1252(const uint8_t *from, size_t size, uint8_t *to) {
    for (size_t i = 0; i < size; i++) {
        const bool special = from[i] >= 0x80 && from[i] < 0xa0;
        to += utf8proc_encode_char(special ? windows_1252[from[i] - 0x80] : from[i], to);
    }
    return to;
}

uint8_t *qni_utf8_from_lines(const void *bytes, size_t size, size_t *out_size, int64_t *foreign,
                             int64_t *first) {
    const uint8_t *at = bytes, *end = at + size;
    uint8_t *out = size < SIZE_MAX / MOST_BYTES ? malloc(MOST_BYTES * size + 1) : NULL, *to = out;
    int64_t count = 0, first_line = 0;
    for (int64_t line = 1; out && at < end; line++) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const size_t length = (size_t)((newline ? newline + 1 : end) - at);
        if (qn_utf8_prefix(at, length) == length) {
            memcpy(to, at, length);
            to += length;
        } else {
            to = put_windows_1252(at, length, to);
            first_line = count++ == 0 ? line : first_line;
        }
        at += length;
    }
    if (!out)
        return NULL;
    *to = 0;
    *out_size = (size_t)(to - out);
    if (foreign) {
        *foreign = count;
        *first = first_line;
    }
    return out;
}

/* ---- files ------------------------------------------------------------------------------ */

/* The encoding that a file says or shows to have, where that cannot be read; NULL where it can. */
static const char *foreign_encoding(const qni_bytes *bytes) {
    static const struct {
        const char *mark;
        size_t length;
        const char *name;
    } marks[] = {{"\xff\xfe\0\0", 4, "UTF-32"},
                 {"\0\0\xfe\xff", 4, "UTF-32"},
                 {"\xff\xfe", 2, "UTF-16"},
                 {"\xfe\xff", 2, "UTF-16"}};
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
        if (bytes->size >= marks[i].length &&
            memcmp(bytes->data, marks[i].mark, marks[i].length) == 0)
            return marks[i].name;
    /* Without a mark: every other byte of plain English is zero. */
    const size_t pairs = bytes->size / 2 < 32 ? bytes->size / 2 : 32;
    size_t even = 0, odd = 0;
    for (size_t i = 0; i < pairs; i++) {
        even += bytes->data[2 * i] == 0;
        odd += bytes->data[2 * i + 1] == 0;
    }
    return pairs > 1 && (even == pairs || odd == pairs) && even != odd ? "UTF-16" : NULL;
}

static qn_status check_bytes(qn_context *ctx, const char *path, const qni_bytes *bytes) {
    const char *encoding = foreign_encoding(bytes);
    if (encoding)
        return qn_context_fail(ctx, QN_BAD_FORMAT,
                               "%s: text in %s, expected UTF-8: iconv -f %s -t UTF-8 converts it",
                               path, encoding, encoding);
    const uint8_t *zero = bytes->size ? memchr(bytes->data, 0, bytes->size) : NULL;
    if (!zero)
        return QN_OK;
    long long line = 1;
    for (const uint8_t *at = bytes->data; at < zero; at++)
        line += *at == '\n';
    return qn_context_fail(ctx, QN_BAD_FORMAT, "%s:%lld: a zero byte, expected text in UTF-8", path,
                           line);
}

static qn_status make_utf8(qn_context *ctx, const char *path, qni_bytes *bytes, qni_notes *notes) {
    if (qn_utf8_prefix(bytes->data, bytes->size) == bytes->size)
        return QN_OK;
    size_t size;
    int64_t lines, first;
    uint8_t *data = qni_utf8_from_lines(bytes->data, bytes->size, &size, &lines, &first);
    if (!data)
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for the text", path);
    free(bytes->data);
    *bytes = (qni_bytes){data, size};
    qni_notes_add(notes, "%s:%lld: not UTF-8, taken as Windows-1252%s", path, (long long)first,
                  lines > 1 ? ", as are other lines" : "");
    return QN_OK;
}

qn_status qni_text_read(qn_context *ctx, const char *path, qni_bytes *out, qni_notes *notes) {
    *out = (qni_bytes){0};
    qni_bytes bytes;
    qn_status status = qni_bytes_read(ctx, path, &bytes);
    if (status == QN_OK)
        status = check_bytes(ctx, path, &bytes);
    if (status == QN_OK && bytes.size >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0) {
        bytes.size -= 3;
        memmove(bytes.data, bytes.data + 3, bytes.size);
    }
    if (status == QN_OK)
        status = make_utf8(ctx, path, &bytes, notes);
    if (status != QN_OK) {
        free(bytes.data);
        return status;
    }
    *out = bytes;
    return QN_OK;
}

bool qni_has_control(const char *text, size_t length) {
    const uint8_t *c = (const uint8_t *)text;
    for (size_t i = 0; i < length; i++) {
        const bool second = c[i] == 0xc2 && i + 1 < length && c[i + 1] >= 0x80 && c[i + 1] < 0xa0;
        if (c[i] < 0x20 || c[i] == 0x7f || second)
            return true;
    }
    return false;
}
