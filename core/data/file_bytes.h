/* file_bytes.h: whole files in memory, for the readers in this folder. */
#ifndef QUERN_FILE_BYTES_H
#define QUERN_FILE_BYTES_H

#include "quern.h"

/** A file's bytes, to be freed with free(data). */
typedef struct qni_bytes {
    uint8_t *data;
    size_t size;
} qni_bytes;

/** Room for so many bytes, to be freed or grown with free() and realloc(); NULL when memory is out.
 * Large room asks for huge pages: the system then clears it in few steps. */
uint8_t *qni_bytes_room(size_t bytes);

/** Reads a whole file, decompressing it if it is gzip; "-" is standard input. On failure `out` is
 * empty.
 *
 * Errors: IO_ERROR (cannot be opened or read), BAD_FORMAT (gzip truncated or corrupt),
 * OUT_OF_MEMORY; each names the file. */
qn_status qni_bytes_read(qn_context *ctx, const char *path, qni_bytes *out);

/** Error for a file that goes past qn_context_read_limit(). */
qn_status qni_bytes_over_limit(qn_context *ctx, const char *path);

/** Decompresses gzip data (RFC 1952, any number of members) that came from the file `path`. */
qn_status qni_gunzip(qn_context *ctx, const char *path, const qni_bytes *packed, qni_bytes *out);
/** Unpacks one member in one go into the room that `out` has; false when that does not work out:
 * zlib then says why, or does it in pieces. */
bool qni_gunzip_at_once(const qni_bytes *packed, qni_bytes *out, size_t capacity);

#endif
