/* series_wide.c: wide files: a date column, and one column an item. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "series_data.h"

/** What is known of a column. */
typedef struct column {
    char *name;
    int64_t numbers, others; /* lines that hold a number, and that hold something else */
    int64_t counted;         /* lines that hold their own number, from 0 or from 1 */
    int64_t line;            /* of the first that holds something else */
    char text[48];           /* and what it holds */
} column;

typedef struct reader {
    qni_table *table;
    column *columns;
    int count; /* columns, the date's included */
    int date;  /* which is the date; -1 before the first line of values */
    int64_t rows;
    bool headed; /* the first record was a header */
} reader;

static bool is_date_name(const char *name) {
    static const char *const names[] = {"date",  "timestamp", "time", "datetime", "ds",
                                        "month", "year",      "week", "quarter",  "day"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (qni_same_word(name, names[i]))
            return true;
    return false;
}

static bool is_date(const char *text) {
    qni_timestamp stamp;
    return qni_timestamp_read(text, &stamp);
}

static qn_status refuse_same_names(const reader *r, int64_t line) {
    for (int i = 0; i < r->count; i++)
        for (int j = 0; j < i; j++)
            if (*r->columns[i].name && strcmp(r->columns[i].name, r->columns[j].name) == 0)
                return qn_context_fail(
                    r->table->ctx, QN_BAD_FORMAT, "%s:%lld: columns %d and %d are both named '%s'",
                    r->table->path, (long long)line, j + 1, i + 1, r->columns[i].name);
    return QN_OK;
}

static qn_status refuse_controls(const reader *r, int64_t line) {
    for (int i = 0; i < r->count; i++)
        if (qni_has_control(r->columns[i].name, strlen(r->columns[i].name)))
            return qn_context_fail(
                r->table->ctx, QN_BAD_FORMAT,
                "%s:%lld: column %d: '%s' has a control character, which no name may have",
                r->table->path, (long long)line, i + 1, r->columns[i].name);
    return QN_OK;
}

/** Takes the names of the columns from the first record; without a header
 * they are numbered from 1. */
static qn_status take_names(reader *r, const qni_csv_record *record) {
    r->columns = calloc((size_t)record->count, sizeof(*r->columns));
    r->headed = true;
    for (int i = 0; i < record->count; i++)
        r->headed &= !is_date(record->fields[i]) || strlen(record->fields[i]) <= 4;
    for (int i = 0; i < record->count && r->columns; i++) {
        char number[16];
        snprintf(number, sizeof(number), "%d", i + 1);
        r->columns[i].name = strdup(r->headed ? record->fields[i] : number);
        r->count = i + 1;
        if (!r->columns[i].name)
            break;
    }
    if (!r->columns || !r->columns[record->count - 1].name)
        return qn_context_fail(r->table->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %d columns",
                               r->table->path, record->count);
    const qn_status status = refuse_controls(r, record->line);
    return status == QN_OK ? refuse_same_names(r, record->line) : status;
}

/** Finds the date: a column that is named so, else the first that holds one. */
static qn_status find_date(reader *r, const qni_csv_record *record) {
    r->date = -1;
    for (int named = 1; named >= 0 && r->date < 0; named--)
        for (int i = 0; i < r->count && r->date < 0; i++)
            if (is_date(record->fields[i]) && (!named || is_date_name(r->columns[i].name)))
                r->date = i;
    if (r->date < 0)
        return qn_context_fail(r->table->ctx, QN_BAD_FORMAT,
                               "%s:%lld: no column holds a timestamp, such as 2016-07-01 13:00:00",
                               r->table->path, (long long)record->line);
    return QN_OK;
}

static void take_field(const qni_table *table, column *c, const char *text, int64_t line,
                       double *value) {
    *value = NAN;
    if (qni_value_read(table, text, value)) {
        c->counted += *value == (double)c->numbers || *value == (double)c->numbers + 1;
        c->numbers += *value == *value;
        return;
    }
    if (c->others++ == 0) {
        c->line = line;
        snprintf(c->text, sizeof(c->text), "%s", text);
    }
}

static qn_status take_record(void *data, const qni_csv_record *record) {
    reader *r = data;
    qni_table *table = r->table;
    if (!r->columns) {
        qn_status status = take_names(r, record);
        if (status != QN_OK || r->headed)
            return status;
    }
    if (record->count != r->count)
        return qn_context_fail(table->ctx, QN_BAD_FORMAT,
                               "%s:%lld: %d fields where %d columns are expected", table->path,
                               (long long)record->line, record->count, r->count);
    qn_status status = r->date < 0 ? find_date(r, record) : QN_OK;
    if (status == QN_OK)
        status = qni_stamps_add(table, record->fields[r->date], 0, record->line, r->rows);
    if (status == QN_OK)
        status = qni_table_reserve(table, (size_t)(r->rows + 1) * (size_t)r->count);
    if (status != QN_OK)
        return status;
    double *row = table->values + r->rows++ * r->count;
    for (int i = 0; i < r->count && status == QN_OK; i++)
        if (i != r->date) {
            take_field(table, &r->columns[i], record->fields[i], record->line, &row[i]);
            status = qni_value_check(table, record->line, r->columns[i].name, row[i]);
        }
    return status;
}

static qn_status add_name(const qni_table *table, qni_strings *names, const char *name) {
    if (qni_strings_add(names, name, strlen(name)))
        return QN_OK;
    return qn_context_fail(table->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for column '%s'",
                           table->path, name);
}

/** Makes an item of each column that holds numbers; one with a few other texts is an error, one
 * that mostly holds others is left out. */
static qn_status name_items(const reader *r) {
    qni_table *table = r->table;
    qn_status status = QN_OK;
    table->columns = calloc((size_t)r->count + 1, sizeof(*table->columns));
    if (!table->columns)
        return qn_context_fail(table->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %d columns",
                               table->path, r->count);
    for (int i = 0; i < r->count && status == QN_OK; i++) {
        const column *c = &r->columns[i];
        if (i == r->date)
            continue;
        if (r->headed && qni_is_index_name(c->name) && c->counted == r->rows) {
            status = qni_column_drop(table, c->name, "it numbers the lines");
        } else if (c->numbers <= c->others) {
            status = add_name(table, &table->dropped, c->name);
        } else if (c->others > 0) {
            status = qn_context_fail(table->ctx, QN_BAD_FORMAT,
                                     "%s:%lld: column '%s': '%s' is no number", table->path,
                                     (long long)c->line, c->name, c->text);
        } else {
            char number[16];
            snprintf(number, sizeof(number), "%d", i + 1);
            table->columns[table->names.count] = i;
            status = add_name(table, &table->names, *c->name ? c->name : number);
        }
    }
    return status;
}

qn_status qni_wide_read(qni_table *table, const qni_bytes *bytes) {
    reader r = {.table = table, .date = -1};
    qn_status status =
        qni_csv_read(table->ctx, table->path, bytes, table->separator, take_record, &r);
    if (status == QN_OK)
        status = name_items(&r);
    table->width = r.count;
    for (int i = 0; i < r.count; i++)
        free(r.columns[i].name);
    free(r.columns);
    return status;
}
