/* gunzip.c: gzip in memory (RFC 1952), by zlib; sound files of one member by libdeflate, where the
 * build has it (gunzip_libdeflate.c). */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "file_bytes.h"

enum {
    WINDOW_BITS = 15 + 16, /* the largest window, gzip wrapper */
    TRAILER_BYTES = 8,     /* checksum and size at the end of a member */
    MAX_RATIO = 1032,      /* deflate cannot do better */
    MAX_CHUNK = 1 << 30,   /* zlib counts in 32 bits */
};

/* One decompression: what is left of the input, and the output so far. */
typedef struct inflater {
    qn_context *ctx;
    const char *path;
    const qni_bytes *packed;
    size_t used;
    qni_bytes *out;
    size_t capacity;
    z_stream stream;
} inflater;

/* The size that the last member's trailer tells. Right for a sound file of one member under 4 GiB;
 * for others it is a start. A false one cannot ask for more than the packed data could give. */
static size_t size_hint(const qni_bytes *packed) {
    if (packed->size < TRAILER_BYTES)
        return 1;
    const uint8_t *p = packed->data + packed->size - 4;
    size_t told = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    size_t most = packed->size * MAX_RATIO;
    return told == 0 ? 1 : told < most ? told : most;
}

static qn_status grow(inflater *z) {
    const size_t limit = qn_context_read_limit(z->ctx);
    size_t capacity = z->capacity ? z->capacity + z->capacity / 2 + 4096 : size_hint(z->packed);
    if (z->capacity > limit)
        return qni_bytes_over_limit(z->ctx, z->path);
    capacity = capacity > limit ? limit + (limit < SIZE_MAX) : capacity;
    uint8_t *grown = z->capacity ? realloc(z->out->data, capacity) : qni_bytes_room(capacity);
    if (!grown) {
        return qn_context_fail(z->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %zu bytes", z->path,
                               capacity);
    }
    z->out->data = grown;
    z->capacity = capacity;
    return QN_OK;
}

static unsigned chunk(size_t bytes) { return bytes < MAX_CHUNK ? (unsigned)bytes : MAX_CHUNK; }

/* Inflates as far as room and input go: Z_STREAM_END, Z_OK, Z_BUF_ERROR, or what is wrong. */
static int inflate_some(inflater *z) {
    unsigned in = chunk(z->packed->size - z->used);
    unsigned room = chunk(z->capacity - z->out->size);
    z->stream.next_in = z->packed->data + z->used;
    z->stream.avail_in = in;
    z->stream.next_out = z->out->data + z->out->size;
    z->stream.avail_out = room;
    int result = inflate(&z->stream, Z_NO_FLUSH);
    z->used += in - z->stream.avail_in;
    z->out->size += room - z->stream.avail_out;
    return result;
}

static qn_status corrupt(inflater *z) {
    return qn_context_fail(z->ctx, QN_BAD_FORMAT, "%s: offset %zu: corrupt gzip data: %s", z->path,
                           z->used, z->stream.msg ? z->stream.msg : "not a deflate stream");
}

/* Inflates one member. */
static qn_status inflate_member(inflater *z) {
    for (;;) {
        if (z->out->size == z->capacity) {
            qn_status status = grow(z);
            if (status != QN_OK)
                return status;
        }
        int result = inflate_some(z);
        if (result == Z_STREAM_END)
            return QN_OK;
        if (result == Z_MEM_ERROR)
            return qn_context_fail(z->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for zlib", z->path);
        if (result != Z_OK && result != Z_BUF_ERROR)
            return corrupt(z);
        if (z->out->size < z->capacity && z->used == z->packed->size) {
            return qn_context_fail(z->ctx, QN_BAD_FORMAT, "%s: offset %zu: gzip data is truncated",
                                   z->path, z->used);
        }
    }
}

static qn_status inflate_all(inflater *z) {
    const qni_bytes *packed = z->packed;
    for (;;) {
        qn_status status = inflate_member(z);
        if (status != QN_OK || z->used == packed->size)
            return status;
        if (packed->size - z->used < 2 || packed->data[z->used] != 0x1f ||
            packed->data[z->used + 1] != 0x8b) {
            return qn_context_fail(z->ctx, QN_BAD_FORMAT,
                                   "%s: offset %zu: %zu bytes after the end of the gzip data",
                                   z->path, z->used, packed->size - z->used);
        }
        inflateReset(&z->stream);
    }
}

static qn_status inflate_in_pieces(inflater *z) {
    if (inflateInit2(&z->stream, WINDOW_BITS) != Z_OK)
        return qn_context_fail(z->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for zlib", z->path);
    qn_status status = inflate_all(z);
    inflateEnd(&z->stream);
    return status;
}

qn_status qni_gunzip(qn_context *ctx, const char *path, const qni_bytes *packed, qni_bytes *out) {
    *out = (qni_bytes){0};
    inflater z = {.ctx = ctx, .path = path, .packed = packed, .out = out};
    qn_status status = grow(&z);
    if (status == QN_OK && !qni_gunzip_at_once(packed, out, z.capacity))
        status = inflate_in_pieces(&z);
    if (status != QN_OK) {
        free(out->data);
        *out = (qni_bytes){0};
    }
    return status;
}
