/* text_bytes.h: files and strings as UTF-8. */
#ifndef QUERN_TEXT_BYTES_H
#define QUERN_TEXT_BYTES_H

#include "data/file_bytes.h"

/** Whether bytes are valid UTF-8 (no surrogates, nothing overlong). */
bool qni_is_utf8(const void *bytes, size_t size);

/** Latin-1 as UTF-8, to be freed; *out_size gets its size. NULL when memory is out. */
uint8_t *qni_utf8_from_latin1(const void *bytes, size_t size, size_t *out_size);

/** Reads a text file, plain or gzip, as UTF-8 without a byte order mark: what is not valid UTF-8 is
 * taken as Latin-1. On failure `out` is empty.
 *
 * Errors: those of qni_bytes_read(); BAD_FORMAT: a zero byte. */
qn_status qni_text_read(qn_context *ctx, const char *path, qni_bytes *out);

#endif
