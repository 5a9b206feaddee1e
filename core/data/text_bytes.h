/* text_bytes.h: files and strings as UTF-8. */
#ifndef QUERN_TEXT_BYTES_H
#define QUERN_TEXT_BYTES_H

#include "data/file_bytes.h"
#include "data/notes.h"

/** Text of any encoding as UTF-8, line by line: a line that is not UTF-8 is taken as Windows-1252,
 * of which ISO 8859-1's characters are a part. To be freed; *out_size gets its size, and a zero
 * follows. *foreign (may be NULL) gets the number of such lines, and *first the first of them,
 * from 1. NULL when memory is out. */
uint8_t *qni_utf8_from_lines(const void *bytes, size_t size, size_t *out_size, int64_t *foreign,
                             int64_t *first);

/** Reads a text file, plain or gzip, as UTF-8 without a byte order mark; what was guessed of its
 * encoding goes to `notes` (may be NULL). On failure `out` is empty.
 *
 * Errors: those of qni_bytes_read(); BAD_FORMAT: UTF-16 or UTF-32, a zero byte. */
qn_status qni_text_read(qn_context *ctx, const char *path, qni_bytes *out, qni_notes *notes);

/** Whether a text has a control character: a name that does is none, and a terminal would do what
 * it says. In UTF-8 the second set of them is 0xc2 0x80 to 0xc2 0x9f. */
bool qni_has_control(const char *text, size_t length);

struct gzFile_s;

/** What zlib says of line `number` of a file when it has no more bytes of it: QN_OK at the file's
 * end. Errors: OUT_OF_MEMORY, IO_ERROR, and BAD_FORMAT for corrupt gzip data. */
qn_status qni_gzip_status(qn_context *ctx, struct gzFile_s *file, const char *path, int64_t number);

#endif
