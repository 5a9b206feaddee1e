/* image_pgm.c: PGM images, as text (P2) and binary (P5), 8 and 16 bits. */
#include <ctype.h>

#include "image_format.h"

enum { MAX_GREY = 65535, MAX_NUMBER = 1 << 30 };

typedef struct pgm_reader {
    qn_context *ctx;
    const char *path;
    const uint8_t *data;
    size_t size, offset;
} pgm_reader;

static qn_status fail(const pgm_reader *reader, const char *what) {
    return qn_context_fail(reader->ctx, QN_BAD_FORMAT, "%s: offset %zu: PGM: %s", reader->path,
                           reader->offset, what);
}

/* White space as the format has it, whatever more of it the program's locale knows. */
static bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Skips white space, and comments from '#' to the end of the line. */
static void skip_space(pgm_reader *reader) {
    bool comment = false;
    for (; reader->offset < reader->size; reader->offset++) {
        int c = reader->data[reader->offset];
        if (c == '#') {
            comment = true;
        } else if (c == '\n' || c == '\r') {
            comment = false;
        } else if (!comment && !is_space(c)) {
            return;
        }
    }
}

/* Reads a decimal number in low .. high; `what` names it. */
static qn_status read_number(pgm_reader *reader, const char *what, long low, long high, long *out) {
    skip_space(reader);
    size_t start = reader->offset;
    long value = 0;
    while (reader->offset < reader->size && isdigit(reader->data[reader->offset]) &&
           value < MAX_NUMBER) {
        value = value * 10 + (reader->data[reader->offset++] - '0');
    }
    if (reader->offset == start) {
        return fail(reader,
                    reader->offset == reader->size ? "file is truncated" : "a number is expected");
    }
    if (value < low || value > high) {
        reader->offset = start;
        return qn_context_fail(reader->ctx, QN_BAD_FORMAT,
                               "%s: offset %zu: PGM: %s %ld, expected %ld to %ld", reader->path,
                               start, what, value, low, high);
    }
    *out = value;
    return QN_OK;
}

static qn_status read_text(pgm_reader *reader, long maximum, qni_image *out) {
    for (int64_t i = 0; i < out->height * out->width; i++) {
        long value;
        qn_status status = read_number(reader, "pixel", 0, maximum, &value);
        if (status != QN_OK)
            return status;
        out->pixels[i] = (float)value / (float)maximum;
    }
    return QN_OK;
}

static qn_status read_binary(pgm_reader *reader, long maximum, qni_image *out) {
    if (reader->offset == reader->size || !is_space(reader->data[reader->offset]))
        return fail(reader, "white space is expected before the pixels");
    reader->offset++;
    size_t width = maximum > 255 ? 2 : 1;
    size_t expected = (size_t)(out->height * out->width) * width;
    if (reader->size - reader->offset < expected) {
        return qn_context_fail(reader->ctx, QN_BAD_FORMAT,
                               "%s: offset %zu: PGM: pixels are truncated: %zu bytes, expected %zu",
                               reader->path, reader->size, reader->size - reader->offset, expected);
    }
    for (int64_t i = 0; i < out->height * out->width; i++, reader->offset += width) {
        const uint8_t *p = reader->data + reader->offset;
        int value = width == 2 ? p[0] << 8 | p[1] : p[0];
        if (value > maximum)
            return fail(reader, "a pixel is above the largest grey");
        out->pixels[i] = (float)value / (float)maximum;
    }
    return QN_OK;
}

qn_status qni_pgm_decode(qn_context *ctx, const char *path, const qni_bytes *bytes,
                         qni_image *out) {
    pgm_reader reader = {
        .ctx = ctx, .path = path, .data = bytes->data, .size = bytes->size, .offset = 2};
    long width, height, maximum;
    qn_status status = read_number(&reader, "width", 1, QNI_IMAGE_MAX_SIDE, &width);
    if (status == QN_OK)
        status = read_number(&reader, "height", 1, QNI_IMAGE_MAX_SIDE, &height);
    if (status == QN_OK)
        status = read_number(&reader, "largest grey", 1, MAX_GREY, &maximum);
    if (status == QN_OK)
        status = qni_image_open(ctx, path, (uint64_t)height, (uint64_t)width, out);
    if (status != QN_OK)
        return status;
    return bytes->data[1] == '2' ? read_text(&reader, maximum, out)
                                 : read_binary(&reader, maximum, out);
}
