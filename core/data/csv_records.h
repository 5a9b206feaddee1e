/* csv_records.h: CSV files (RFC 4180), record after record. */
#ifndef QUERN_CSV_RECORDS_H
#define QUERN_CSV_RECORDS_H

#include "file_bytes.h"

/** One record. The fields are zero-terminated texts, valid during the call. */
typedef struct qni_csv_record {
    int64_t line; /**< where it begins, from 1 */
    int count;
    const char *const *fields;
} qni_csv_record;

/** Takes one record; a status other than QN_OK ends the reading. */
typedef qn_status (*qni_csv_take)(void *data, const qni_csv_record *record);

/** What separates the fields of a CSV file, told from its first lines: a comma, a tab or a
 * semicolon, the first of them that is in each of these lines equally often (outside quotes). A
 * comma where none is. */
char qni_csv_separator(const qni_bytes *bytes);

/** Gives each record of the bytes of the file `path` to take(). Fields end with `separator`, lines
 * with LF, CR LF or CR; empty ones are skipped, as is a byte order mark; spaces around fields
 * without quotes do not count.
 *
 * Errors: what take() returned; BAD_FORMAT with file and line: a misplaced quote, one that is never
 * closed, a zero byte; OUT_OF_MEMORY. */
qn_status qni_csv_read(qn_context *ctx, const char *path, const qni_bytes *bytes, char separator,
                       qni_csv_take take, void *data);

#endif
