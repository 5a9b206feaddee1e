/* series_items.c: long files: lines of item, timestamp and value. */
#include <stdlib.h>
#include <string.h>

#include "series_data.h"

typedef struct reader {
    qni_table *table;
    int count;                   /* fields of a line; 0 before the first */
    int item, timestamp, target; /* which field is what */
    qni_string_table items;
    char *name; /* of the line's item, with its dimensions */
    size_t name_room;
    int64_t rows;
} reader;

/** Finds a column by name, or by its place where the file has no header. */
static bool find_columns(reader *r, const qni_csv_record *record) {
    static const char *const names[] = {"item_id", "timestamp", "target_value"};
    int *const places[] = {&r->item, &r->timestamp, &r->target};
    int found = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < record->count; j++)
            if (qni_same_word(record->fields[j], names[i])) {
                *places[i] = j;
                found++;
            }
    return found == 3;
}

/** Joins the item's id and its dimensions in r->name: "item|store". */
static bool join_name(reader *r, const qni_csv_record *record) {
    size_t size = 1;
    for (int i = 0; i < record->count; i++)
        size += strlen(record->fields[i]) + 1;
    if (size > r->name_room) {
        char *name = realloc(r->name, 2 * size);
        if (!name)
            return false;
        r->name = name;
        r->name_room = 2 * size;
    }
    char *end = stpcpy(r->name, record->fields[r->item]);
    for (int i = 0; i < record->count; i++)
        if (i != r->item && i != r->timestamp && i != r->target) {
            *end++ = '|';
            end = stpcpy(end, record->fields[i]);
        }
    return true;
}

static qn_status out_of_memory(const reader *r) {
    return qn_context_fail(r->table->ctx, QN_OUT_OF_MEMORY, "%s: no memory for line %lld",
                           r->table->path, (long long)r->rows + 1);
}

static qn_status take_line(reader *r, const qni_csv_record *record) {
    qni_table *table = r->table;
    double value;
    if (!*record->fields[r->item])
        return qn_context_fail(table->ctx, QN_BAD_FORMAT, "%s:%lld: the item_id is empty",
                               table->path, (long long)record->line);
    if (!qni_value_read(record->fields[r->target], &value))
        return qn_context_fail(table->ctx, QN_BAD_FORMAT,
                               "%s:%lld: column 'target_value': '%.40s' is no number", table->path,
                               (long long)record->line, record->fields[r->target]);
    const int64_t item =
        join_name(r, record) ? qni_string_table_add(&r->items, r->name, strlen(r->name)) : -1;
    if (item < 0)
        return out_of_memory(r);
    qn_status status =
        qni_stamps_add(table, record->fields[r->timestamp], item, record->line, r->rows);
    if (status == QN_OK)
        status = qni_table_reserve(table, (size_t)r->rows + 1);
    if (status == QN_OK)
        table->values[r->rows++] = value;
    return status;
}

static qn_status take_record(void *data, const qni_csv_record *record) {
    reader *r = data;
    if (r->count == 0) {
        r->count = record->count;
        if (find_columns(r, record))
            return QN_OK;
        if (record->count < 3)
            return qn_context_fail(
                r->table->ctx, QN_BAD_FORMAT,
                "%s:%lld: neither a header with item_id, timestamp and target_value, nor a line of "
                "these three",
                r->table->path, (long long)record->line);
        r->item = 0;
        r->timestamp = 1;
        r->target = 2;
    }
    if (record->count != r->count)
        return qn_context_fail(r->table->ctx, QN_BAD_FORMAT,
                               "%s:%lld: %d fields where %d columns are expected", r->table->path,
                               (long long)record->line, record->count, r->count);
    return take_line(r, record);
}

qn_status qni_items_read(qni_table *table, const qni_bytes *bytes) {
    reader r = {.table = table};
    qn_status status = qni_csv_read(table->ctx, table->path, bytes, take_record, &r);
    table->names = r.items.strings;
    r.items.strings = (qni_strings){0};
    qni_string_table_free(&r.items);
    free(r.name);
    table->width = 1;
    return status;
}
