/* series_items.c: long files: lines of item, timestamp and value. */
#include <stdlib.h>
#include <string.h>

#include "series_data.h"

/* What the columns of an item, a time and a value are called: by Amazon Forecast's domains, by the
 * libraries of the field ("unique_id", "ds", "y"), and by those who write them by hand. */
static const char *const item_names[] = {
    "item_id",    "unique_id",   "item",      "series_id",     "series",         "sku",
    "product_id", "metric_name", "item_name", "instance_type", "workforce_type", NULL};
static const char *const time_names[] = {"timestamp", "ds",    "date",      "datetime",
                                         "time",      "month", "date_time", NULL};
static const char *const value_names[] = {"target_value",
                                          "y",
                                          "demand",
                                          "target",
                                          "value",
                                          "metric_value",
                                          "number_of_instances",
                                          "workforce_demand",
                                          "sales",
                                          "quantity",
                                          NULL};

/** Most columns that name an item together with its id. */
enum { MOST_DIMENSIONS = 16 };

/** What a column of the file is. */
typedef enum part { ITEM, TIME, VALUE, PARTS } part;

typedef struct reader {
    qni_table *table;
    int count;         /* fields of a line; 0 before the first */
    int column[PARTS]; /* which field is what */
    int dimension[MOST_DIMENSIONS], dimensions;
    char *names[MOST_DIMENSIONS]; /* of these columns, where there is a header */
    qni_string_table items;
    char *name; /* of the line's item, with its dimensions */
    size_t name_room;
    int64_t rows;
    bool headed, skips_header; /* the first record held names; it is read once more */
} reader;

/* ---- which columns ---------------------------------------------------------------------- */

/** The first field with one of these names; -1 if there is none. */
static int find_column(const qni_csv_record *record, const char *const *names) {
    for (; *names; names++)
        for (int i = 0; i < record->count; i++)
            if (qni_same_word(record->fields[i], *names))
                return i;
    return -1;
}

/** Finds the columns by their names; of three the one that is left is the value. */
static bool find_columns(const qni_csv_record *record, int column[PARTS]) {
    column[ITEM] = find_column(record, item_names);
    column[TIME] = find_column(record, time_names);
    column[VALUE] = find_column(record, value_names);
    if (column[VALUE] < 0 && record->count == 3)
        column[VALUE] = 3 - column[ITEM] - column[TIME];
    return column[ITEM] >= 0 && column[TIME] >= 0 && column[VALUE] >= 0;
}

bool qni_items_have_header(const qni_csv_record *record) {
    int column[PARTS];
    if (find_columns(record, column))
        return true;
    /* These two names are of no other kind of file: what it lacks is told then. */
    return column[TIME] >= 0 && column[ITEM] >= 0 &&
           (qni_same_word(record->fields[column[ITEM]], item_names[0]) ||
            qni_same_word(record->fields[column[ITEM]], item_names[1]));
}

static qn_status out_of_memory(const reader *r) {
    return qn_context_fail(r->table->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for line %lld",
                           r->table->path, (long long)r->rows + 1);
}

/** The columns beside the three are dimensions of the item, but for one that numbers the lines. */
static qn_status list_dimensions(reader *r, const qni_csv_record *record, bool headed) {
    for (int i = 0; i < record->count; i++) {
        if (i == r->column[ITEM] || i == r->column[TIME] || i == r->column[VALUE])
            continue;
        if (headed && qni_is_index_name(record->fields[i])) {
            qn_status status = qni_column_drop(r->table, record->fields[i], "it numbers the lines");
            if (status != QN_OK)
                return status;
            continue;
        }
        if (r->dimensions == MOST_DIMENSIONS)
            return qn_context_fail(r->table->ctx, QN_BAD_FORMAT,
                                   "%s:%lld: more than %d columns beside item, time and value",
                                   r->table->path, (long long)record->line, MOST_DIMENSIONS);
        char number[16];
        snprintf(number, sizeof(number), "%d", i + 1);
        r->names[r->dimensions] = strdup(headed ? record->fields[i] : number);
        if (!r->names[r->dimensions])
            return out_of_memory(r);
        r->dimension[r->dimensions++] = i;
    }
    return QN_OK;
}

/** Whether a first record is a header whose names are not known: no field
 * holds a number or a time. */
static bool is_unknown_header(const reader *r, const qni_csv_record *record) {
    qni_timestamp stamp;
    double value;
    for (int i = 0; i < record->count; i++)
        if (qni_timestamp_read(record->fields[i], &stamp) ||
            (qni_value_read(r->table, record->fields[i], &value) && *record->fields[i]))
            return false;
    return true;
}

/** Learns from the first record what the columns are. */
static qn_status begin(reader *r, const qni_csv_record *record) {
    r->count = record->count;
    r->headed = r->skips_header = find_columns(record, r->column);
    if (!r->headed && (record->count < 3 || is_unknown_header(r, record)))
        return qn_context_fail(
            r->table->ctx, QN_BAD_FORMAT,
            "%s:%lld: neither a header with an item (item_id, unique_id ...), a "
            "time (timestamp, ds, date ...) and a value (target_value, y, demand "
            "...), nor a line of these three",
            r->table->path, (long long)record->line);
    for (int i = 0; i < PARTS && !r->headed; i++)
        r->column[i] = i;
    return list_dimensions(r, record, r->headed);
}

/* ---- lines ------------------------------------------------------------------------------ */

/** Joins the item's id and its dimensions, without number `skip`, in r->name: "item|store", and
 * `more`, where that is not NULL, behind them. */
static bool join_name(reader *r, const qni_csv_record *record, int skip, const char *more) {
    size_t size = more ? strlen(more) + 2 : 1;
    for (int i = 0; i < record->count; i++)
        size += strlen(record->fields[i]) + 1;
    if (size > r->name_room) {
        char *name = realloc(r->name, 2 * size);
        if (!name)
            return false;
        r->name = name;
        r->name_room = 2 * size;
    }
    char *end = stpcpy(r->name, record->fields[r->column[ITEM]]);
    for (int i = 0; i < r->dimensions; i++)
        if (i != skip) {
            *end++ = '|';
            end = stpcpy(end, record->fields[r->dimension[i]]);
        }
    if (more) {
        *end++ = '\n'; /* which no field has */
        stpcpy(end, more);
    }
    return true;
}

static qn_status take_line(reader *r, const qni_csv_record *record) {
    qni_table *table = r->table;
    double value;
    if (!*record->fields[r->column[ITEM]])
        return qn_context_fail(table->ctx, QN_BAD_FORMAT, "%s:%lld: the item_id is empty",
                               table->path, (long long)record->line);
    if (!qni_value_read(table, record->fields[r->column[VALUE]], &value))
        return qn_context_fail(table->ctx, QN_BAD_FORMAT,
                               "%s:%lld: column 'target_value': '%.40s' is no number", table->path,
                               (long long)record->line, record->fields[r->column[VALUE]]);
    const bool joined = join_name(r, record, -1, NULL);
    if (joined && qni_has_control(r->name, strlen(r->name)))
        return qn_context_fail(table->ctx, QN_BAD_FORMAT,
                               "%s:%lld: item '%s' has a control character, which no name may have",
                               table->path, (long long)record->line, r->name);
    const int64_t item = joined ? qni_string_table_add(&r->items, r->name, strlen(r->name)) : -1;
    if (item < 0)
        return out_of_memory(r);
    qn_status status = qni_value_check(table, record->line, "target_value", value);
    if (status == QN_OK)
        status =
            qni_stamps_add(table, record->fields[r->column[TIME]], item, record->line, r->rows);
    if (status == QN_OK)
        status = qni_table_reserve(table, (size_t)r->rows + 1);
    if (status == QN_OK)
        table->values[r->rows++] = value;
    return status;
}

static qn_status take_record(void *data, const qni_csv_record *record) {
    reader *r = data;
    qn_status status = r->count == 0 ? begin(r, record) : QN_OK;
    if (status != QN_OK)
        return status;
    if (r->skips_header) {
        r->skips_header = false;
        return QN_OK;
    }
    if (record->count != r->count)
        return qn_context_fail(r->table->ctx, QN_BAD_FORMAT,
                               "%s:%lld: %d fields where %d columns are expected", r->table->path,
                               (long long)record->line, record->count, r->count);
    return take_line(r, record);
}

/* ---- columns that change within an item ------------------------------------------------- */

/** A pass over the lines that asks whether a dimension is one. */
typedef struct question {
    reader *r;
    int dimension;
    bool started, twice;      /* an item without it has one time twice */
    qni_string_table items;   /* without the dimension */
    qni_string_table moments; /* an item and a time */
} question;

static qn_status ask_record(void *data, const qni_csv_record *record) {
    question *q = data;
    reader *r = q->r;
    int column[PARTS];
    const bool header = !q->started && find_columns(record, column);
    q->started = true;
    if (header || q->twice)
        return QN_OK;
    if (!join_name(r, record, q->dimension, NULL) ||
        qni_string_table_add(&q->items, r->name, strlen(r->name)) < 0)
        return out_of_memory(r);
    const int64_t before = q->moments.strings.count;
    if (!join_name(r, record, q->dimension, record->fields[r->column[TIME]]) ||
        qni_string_table_add(&q->moments, r->name, strlen(r->name)) < 0)
        return out_of_memory(r);
    q->twice = q->moments.strings.count == before;
    return QN_OK;
}

/** Whether a column changes within items and tells none of them apart: with it, an item would fall
 * into several that have each other's gaps. Such columns are covariates. */
static qn_status is_covariate(reader *r, const qni_bytes *bytes, int dimension, bool *out) {
    question q = {.r = r, .dimension = dimension};
    qn_status status =
        qni_csv_read(r->table->ctx, r->table->path, bytes, r->table->separator, ask_record, &q);
    *out = status == QN_OK && !q.twice && q.items.strings.count < r->items.strings.count;
    qni_string_table_free(&q.items);
    qni_string_table_free(&q.moments);
    return status;
}

static void forget_dimension(reader *r, int index) {
    free(r->names[index]);
    for (int i = index + 1; i < r->dimensions; i++) {
        r->names[i - 1] = r->names[i];
        r->dimension[i - 1] = r->dimension[i];
    }
    r->dimensions--;
}

/** Leaves covariates out; *left_out tells whether there were any. */
static qn_status drop_covariates(reader *r, const qni_bytes *bytes, bool *left_out) {
    qn_status status = QN_OK;
    for (int i = 0; i < r->dimensions && status == QN_OK;) {
        bool covariate;
        status = is_covariate(r, bytes, i, &covariate);
        if (status == QN_OK && covariate)
            status = qni_column_drop(r->table, r->names[i], "it changes within an item");
        if (status == QN_OK && covariate) {
            *left_out = true;
            forget_dimension(r, i);
        } else {
            i++;
        }
    }
    return status;
}

/* ---- the file --------------------------------------------------------------------------- */

/** Reads the lines again with the dimensions that are left. */
static qn_status read_again(reader *r, const qni_bytes *bytes) {
    qni_string_table_free(&r->items);
    r->items = (qni_string_table){0};
    r->table->stamps.count = r->table->stamps.zoned = r->rows = 0;
    r->skips_header = r->headed;
    return qni_csv_read(r->table->ctx, r->table->path, bytes, r->table->separator, take_record, r);
}

qn_status qni_items_read(qni_table *table, const qni_bytes *bytes) {
    reader r = {.table = table};
    bool again = false;
    qn_status status =
        qni_csv_read(table->ctx, table->path, bytes, table->separator, take_record, &r);
    if (status == QN_OK && r.dimensions > 0)
        status = drop_covariates(&r, bytes, &again);
    if (status == QN_OK && again)
        status = read_again(&r, bytes);
    table->names = r.items.strings;
    r.items.strings = (qni_strings){0};
    qni_string_table_free(&r.items);
    for (int i = 0; i < r.dimensions; i++)
        free(r.names[i]);
    free(r.name);
    table->width = 1;
    return status;
}
