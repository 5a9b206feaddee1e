/* idx.c: the IDX format of the MNIST files.
 *
 * Two zero bytes, a byte for the element type, a byte for the rank, the extents as big-endian
 * 32-bit numbers, and the elements, row-major and big-endian (LeCun, Cortes and Burges, "The MNIST
 * database of handwritten digits"). */
#include <stdlib.h>
#include <string.h>

#include "idx.h"

enum { MAGIC_BYTES = 4, EXTENT_BYTES = 4 };

static uint32_t big_endian_32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t big_endian_64(const uint8_t *p) {
    return (uint64_t)big_endian_32(p) << 32 | big_endian_32(p + 4);
}

/* Bytes of one element; 0 for a type that IDX does not have. */
static size_t item_bytes(int type) {
    switch (type) {
    case QNI_IDX_U8:
    case QNI_IDX_I8:
        return 1;
    case QNI_IDX_I16:
        return 2;
    case QNI_IDX_I32:
    case QNI_IDX_F32:
        return 4;
    case QNI_IDX_F64:
        return 8;
    default:
        return 0;
    }
}

/* The four bytes of type and rank. */
static qn_status parse_magic(qn_context *ctx, const char *path, const qni_bytes *bytes,
                             qni_idx_header *out) {
    if (bytes->size < MAGIC_BYTES) {
        return qn_context_fail(ctx, QN_BAD_FORMAT,
                               "%s: offset %zu: file ends inside the IDX header", path,
                               bytes->size);
    }
    const uint8_t *p = bytes->data;
    if (p[0] != 0 || p[1] != 0) {
        return qn_context_fail(ctx, QN_BAD_FORMAT,
                               "%s: offset 0: not an IDX file: starts with %02x %02x, expected "
                               "00 00",
                               path, p[0], p[1]);
    }
    out->item_bytes = item_bytes(p[2]);
    if (out->item_bytes == 0) {
        return qn_context_fail(ctx, QN_BAD_FORMAT,
                               "%s: offset 2: IDX element type 0x%02x, expected 08, 09, 0b, 0c, "
                               "0d or 0e",
                               path, p[2]);
    }
    if (p[3] < 1 || p[3] > QN_MAX_DIMS) {
        return qn_context_fail(ctx, QN_BAD_FORMAT,
                               "%s: offset 3: IDX array of %d dimensions, expected 1 to %d", path,
                               p[3], QN_MAX_DIMS);
    }
    out->type = (qni_idx_type)p[2];
    out->shape.rank = p[3];
    return QN_OK;
}

/* The extents; their product in bytes must fit in memory's address range. */
static qn_status parse_extents(qn_context *ctx, const char *path, const qni_bytes *bytes,
                               qni_idx_header *out) {
    out->data_offset = MAGIC_BYTES + EXTENT_BYTES * (size_t)out->shape.rank;
    if (bytes->size < out->data_offset) {
        return qn_context_fail(ctx, QN_BAD_FORMAT,
                               "%s: offset %zu: file ends inside the IDX header", path,
                               bytes->size);
    }
    int64_t total = (int64_t)out->item_bytes;
    for (int i = 0; i < out->shape.rank; i++) {
        size_t offset = MAGIC_BYTES + EXTENT_BYTES * (size_t)i;
        out->shape.dim[i] = big_endian_32(bytes->data + offset);
        if (__builtin_mul_overflow(total, out->shape.dim[i], &total)) {
            return qn_context_fail(ctx, QN_BAD_FORMAT, "%s: offset %zu: IDX extents overflow", path,
                                   offset);
        }
    }
    out->count = total / (int64_t)out->item_bytes;
    return QN_OK;
}

qn_status qni_idx_parse(qn_context *ctx, const char *path, const qni_bytes *bytes,
                        qni_idx_header *out) {
    *out = (qni_idx_header){0};
    qn_status status = parse_magic(ctx, path, bytes, out);
    if (status == QN_OK)
        status = parse_extents(ctx, path, bytes, out);
    if (status != QN_OK)
        return status;
    size_t expected = (size_t)out->count * out->item_bytes;
    size_t found = bytes->size - out->data_offset;
    if (found < expected) {
        return qn_context_fail(ctx, QN_BAD_FORMAT,
                               "%s: offset %zu: IDX data is truncated: %zu bytes, expected %zu",
                               path, bytes->size, found, expected);
    }
    if (found > expected) {
        return qn_context_fail(ctx, QN_BAD_FORMAT,
                               "%s: offset %zu: %zu bytes after the end of the IDX data", path,
                               out->data_offset + expected, found - expected);
    }
    return QN_OK;
}

static qn_dtype host_dtype(qni_idx_type type) {
    switch (type) {
    case QNI_IDX_U8:
        return QN_U8;
    case QNI_IDX_F32:
        return QN_F32;
    case QNI_IDX_F64:
        return QN_F64;
    default:
        return QN_I32; /* bytes with a sign and 16-bit numbers are widened */
    }
}

/* Turns big-endian elements into the host's. */
static void convert(const qni_idx_header *header, const uint8_t *from, void *to) {
    uint8_t *p = to;
    size_t width = qn_dtype_bytes(host_dtype(header->type));
    for (int64_t i = 0; i < header->count; i++, from += header->item_bytes, p += width) {
        int32_t narrow = 0;
        uint32_t bits = 0;
        uint64_t wide = 0;
        switch (header->type) {
        case QNI_IDX_U8:
            *p = *from;
            break;
        case QNI_IDX_I8:
            narrow = (int8_t)*from;
            memcpy(p, &narrow, sizeof(narrow));
            break;
        case QNI_IDX_I16:
            narrow = (int16_t)(from[0] << 8 | from[1]);
            memcpy(p, &narrow, sizeof(narrow));
            break;
        case QNI_IDX_I32:
        case QNI_IDX_F32:
            bits = big_endian_32(from);
            memcpy(p, &bits, sizeof(bits));
            break;
        case QNI_IDX_F64:
            wide = big_endian_64(from);
            memcpy(p, &wide, sizeof(wide));
            break;
        }
    }
}

qn_status qn_idx_read(qn_context *ctx, const char *path, qn_idx_array *out) {
    if (!out)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "idx_read: there is no array to fill");
    *out = (qn_idx_array){0};
    qni_bytes bytes;
    qni_idx_header header;
    qn_status status = qni_bytes_read(ctx, path, &bytes);
    if (status == QN_OK)
        status = qni_idx_parse(ctx, path, &bytes, &header);
    if (status != QN_OK) {
        free(bytes.data);
        return status;
    }
    out->dtype = host_dtype(header.type);
    out->shape = header.shape;
    size_t width = qn_dtype_bytes(out->dtype);
    out->data = calloc(header.count ? (size_t)header.count : 1, width);
    if (out->data) {
        convert(&header, bytes.data + header.data_offset, out->data);
    } else {
        *out = (qn_idx_array){0};
        status = qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %lld elements", path,
                                 (long long)header.count);
    }
    free(bytes.data);
    return status;
}
