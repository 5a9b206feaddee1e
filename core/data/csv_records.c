/* csv_records.c: CSV files, split into records by libcsv. */
#include <csv.h>
#include <stdlib.h>
#include <string.h>

#include "csv_records.h"

enum { FIELD_BLOCK = 1 << 16 }; /* room for a field grows by this, not by libcsv's 128 bytes */

/** A reading under way: the record that is collected, and who takes it. */
typedef struct reading {
    qn_context *ctx;
    const char *path;
    qni_csv_take take;
    void *data;
    char *text; /* the record's fields, each with its zero */
    size_t size, text_room;
    size_t *starts; /* where each field begins in `text` */
    const char **fields;
    size_t count, field_room;
    int64_t line;  /* on which the record began */
    int64_t taken; /* records */
    qn_status status;
} reading;

static void out_of_memory(reading *r) {
    r->status = qn_context_fail(r->ctx, QN_OUT_OF_MEMORY, "%s:%lld: out of memory for a record",
                                r->path, (long long)r->line);
}

/** Makes room for one more field of `length` bytes. */
static bool make_room(reading *r, size_t length) {
    if (r->size + length + 1 > r->text_room) {
        const size_t room = 2 * (r->size + length + 1);
        char *text = realloc(r->text, room);
        if (!text)
            return false;
        r->text = text;
        r->text_room = room;
    }
    if (r->count < r->field_room)
        return true;
    const size_t room = 2 * r->field_room + 16;
    size_t *starts = realloc(r->starts, room * sizeof(*starts));
    if (starts)
        r->starts = starts;
    const char **fields = starts ? realloc(r->fields, room * sizeof(*fields)) : NULL;
    if (!fields)
        return false;
    r->fields = fields;
    r->field_room = room;
    return true;
}

static void on_field(void *field, size_t length, void *data) {
    reading *r = data;
    if (r->status != QN_OK)
        return;
    if (!make_room(r, length)) {
        out_of_memory(r);
        return;
    }
    r->starts[r->count++] = r->size;
    if (length > 0)
        memcpy(r->text + r->size, field, length);
    r->text[r->size + length] = '\0';
    r->size += length + 1;
}

static void on_record(int end, void *data) {
    reading *r = data;
    (void)end;
    if (r->status != QN_OK)
        return;
    for (size_t i = 0; i < r->count; i++)
        r->fields[i] = r->text + r->starts[i];
    const qni_csv_record record = {.line = r->line, .count = (int)r->count, .fields = r->fields};
    r->status = r->take(r->data, &record);
    r->taken++;
    r->count = r->size = 0;
}

static qn_status parse_error(reading *r, struct csv_parser *parser) {
    if (csv_error(parser) == CSV_EPARSE)
        return qn_context_fail(
            r->ctx, QN_BAD_FORMAT,
            "%s:%lld: a quote that is misplaced or not closed (CSV doubles quotes "
            "within a quoted field)",
            r->path, (long long)r->line);
    return qn_context_fail(r->ctx, QN_OUT_OF_MEMORY, "%s:%lld: out of memory for a record", r->path,
                           (long long)r->line);
}

/** Feeds the parser line by line, so that it is known on which line each record begins. */
static qn_status parse_lines(reading *r, struct csv_parser *parser, const char *at,
                             const char *end) {
    int64_t line = 1;
    while (at < end && r->status == QN_OK) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const size_t length = (size_t)((newline ? newline + 1 : end) - at);
        const int64_t taken = r->taken;
        if (memchr(at, '\0', length))
            return qn_context_fail(r->ctx, QN_BAD_FORMAT, "%s:%lld: a zero byte: this is no text",
                                   r->path, (long long)line);
        if (csv_parse(parser, at, length, on_field, on_record, r) != length)
            return r->status ? r->status : parse_error(r, parser);
        line++;
        const bool between =
            r->taken > taken || (r->count == 0 && !parser->entry_pos && !parser->quoted);
        if (between)
            r->line = line;
        at += length;
    }
    if (r->status == QN_OK && csv_fini(parser, on_field, on_record, r) != 0)
        return r->status ? r->status : parse_error(r, parser);
    return r->status;
}

/** How often each of the separators is in a line, outside quotes; the line's end is returned. */
static const char *count_separators(const char *at, const char *end, const char *separators,
                                    int *counts) {
    bool quoted = false;
    for (; at < end && (*at != '\n' || quoted); at++) {
        quoted ^= *at == '"';
        const char *found = quoted ? NULL : strchr(separators, *at);
        if (found && *found)
            counts[found - separators]++;
    }
    return at < end ? at + 1 : end;
}

char qni_csv_separator(const qni_bytes *bytes) {
    static const char separators[] = ",\t;";
    enum { SEPARATORS = sizeof(separators) - 1, LINES = 20 };
    const char *at = (const char *)bytes->data, *end = at + bytes->size;
    int first[SEPARATORS] = {0};
    bool even[SEPARATORS] = {true, true, true};
    for (int line = 0; line < LINES && at < end; line++) {
        int counts[SEPARATORS] = {0};
        at = count_separators(at, end, separators, line == 0 ? first : counts);
        for (int i = 0; i < SEPARATORS && line > 0; i++)
            even[i] = even[i] && counts[i] == first[i];
    }
    for (int i = 0; i < SEPARATORS; i++)
        if (even[i] && first[i] > 0)
            return separators[i];
    return separators[0];
}

qn_status qni_csv_read(qn_context *ctx, const char *path, const qni_bytes *bytes, char separator,
                       qni_csv_take take, void *data) {
    static const char mark[] = "\xef\xbb\xbf";
    reading r = {.ctx = ctx, .path = path, .take = take, .data = data, .line = 1};
    struct csv_parser parser;
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI))
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for a parser", path);
    csv_set_blk_size(&parser, FIELD_BLOCK);
    csv_set_delim(&parser, (unsigned char)separator);
    const char *at = (const char *)bytes->data, *end = at + bytes->size;
    if (bytes->size >= 3 && memcmp(at, mark, 3) == 0)
        at += 3;
    const qn_status status = parse_lines(&r, &parser, at, end);
    csv_free(&parser);
    free(r.text);
    free(r.starts);
    free(r.fields);
    return status;
}
