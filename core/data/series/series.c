/* series.c: time series from files, on a regular time axis, with gaps filled. */
#include "series_data.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Steps that may lie between the lines of a file: more, and its frequency is not what it seems. */
enum { MOST_STEPS_A_LINE = 100, STEPS_FOR_ANY = 1 << 20 };

/* ---- fields ---------------------------------------------------------------------------------- */

bool qni_same_word(const char *a, const char *b) { return strcasecmp(a, b) == 0; }

/** A number whose decimal point is a comma, with a point in its place; false where it is none. */
static bool with_point(const char *text, char *out, size_t size) {
    const char *comma = strchr(text, ',');
    const size_t length = strlen(text);
    if (!comma || strchr(comma + 1, ',') || strchr(text, '.') || length >= size)
        return false;
    memcpy(out, text, length + 1);
    out[comma - text] = '.';
    return true;
}

bool qni_value_read(const qni_table *table, const char *text, double *out) {
    char pointed[64];
    static const char *const missing[] = {"", "na", "n/a", "nan", "null", "none"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(*missing); i++)
        if (qni_same_word(text, missing[i])) {
            *out = NAN;
            return true;
        }
    char *end;
    if (table->separator == ';' && with_point(text, pointed, sizeof(pointed)))
        text = pointed;
    *out = strtod(text, &end);
    if (memchr(text, 'x', (size_t)(end - text)) || memchr(text, 'X', (size_t)(end - text)))
        return false; /* 0x10: a code, and no number of things */
    end += strspn(end, " \t");
    return *end == '\0' && isfinite(*out);
}

qn_status qni_value_check(const qni_table *table, int64_t line, const char *column, double value) {
    if (!isfinite(value) || fabs(value) <= (double)FLT_MAX)
        return QN_OK;
    return qn_context_fail(table->ctx, QN_BAD_FORMAT,
                           "%s:%lld: column '%s': %g is beyond the range of f32 (up to %g)",
                           table->path, (long long)line, column, value, (double)FLT_MAX);
}

qn_status qni_table_reserve(qni_table *table, size_t count) {
    if (count <= table->room)
        return QN_OK;
    const size_t room = 2 * count;
    double *values = realloc(table->values, room * sizeof(*values));
    if (!values)
        return qn_context_fail(table->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %zu values",
                               table->path, room);
    table->values = values;
    table->room = room;
    return QN_OK;
}

static void free_table(qni_table *table) {
    free(table->stamps.items);
    free(table->stamps.day_first);
    free(table->values);
    free(table->columns);
    qni_strings_free(&table->names);
    qni_strings_free(&table->dropped);
}

/* ---- which format ---------------------------------------------------------------------------- */

/** Looks at the first record only. */
static qn_status see_format(void *data, const qni_csv_record *record) {
    qni_table *table = data;
    qni_timestamp stamp;
    double value;
    if (table->format != QN_SERIES_AUTO)
        return QN_OK;
    const bool bare = record->count >= 3 && !qni_timestamp_read(record->fields[0], &stamp) &&
                      qni_timestamp_read(record->fields[1], &stamp) &&
                      strlen(record->fields[1]) > 4 &&
                      qni_value_read(table, record->fields[2], &value);
    table->format = bare || qni_items_have_header(record) ? QN_SERIES_ITEMS : QN_SERIES_WIDE;
    return QN_OK;
}

/* ---- columns that are no items --------------------------------------------------------------- */

bool qni_is_index_name(const char *name) {
    return *name == '\0' || qni_same_word(name, "index") || strncmp(name, "Unnamed: ", 9) == 0;
}

qn_status qni_column_drop(qni_table *table, const char *name, const char *why) {
    qni_notes_add(table->notes, "%s: column '%s' is left out: %s", table->path, name, why);
    if (qni_strings_add(&table->dropped, name, strlen(name)))
        return QN_OK;
    return qn_context_fail(table->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for column '%s'",
                           table->path, name);
}

static qn_status read_table(qni_table *table, const qni_bytes *bytes) {
    qn_status status = QN_OK;
    table->separator = qni_csv_separator(bytes);
    if (table->separator != ',')
        qni_notes_add(table->notes, "%s: columns are separated by %s", table->path,
                      table->separator == ';' ? "semicolons" : "tabs");
    if (table->format == QN_SERIES_AUTO)
        status = qni_csv_read(table->ctx, table->path, bytes, table->separator, see_format, table);
    if (status != QN_OK)
        return status;
    status = table->format == QN_SERIES_ITEMS ? qni_items_read(table, bytes)
                                              : qni_wide_read(table, bytes);
    if (status != QN_OK)
        return status;
    if (table->stamps.count == 0)
        return qn_context_fail(table->ctx, QN_BAD_FORMAT, "%s: no lines with values", table->path);
    if (table->names.count == 0)
        return qn_context_fail(table->ctx, QN_BAD_FORMAT, "%s: no column holds numbers",
                               table->path);
    return QN_OK;
}

/* ---- onto the axis --------------------------------------------------------------------------- */

/** Sets the range of each item, and where its values begin; `total` gets the count of all. */
static qn_status place_items(const qni_table *table, qn_series *s, int64_t *total) {
    const qni_stamps *stamps = &table->stamps;
    for (int64_t i = 0; i < stamps->count; i++) {
        int64_t step;
        const int64_t item = stamps->items[i].item;
        qni_step_of(&s->axis, stamps->items[i].time, &step);
        if (i == 0 || stamps->items[i - 1].item != item)
            s->start[item] = step;
        s->end[item] = step + 1;
        s->steps = step + 1 > s->steps ? step + 1 : s->steps;
    }
    for (int64_t i = 0; i < s->items; i++) {
        if (table->columns) {
            s->start[i] = 0;
            s->end[i] = s->steps;
        }
        s->offset[i] = *total;
        *total += s->end[i] - s->start[i];
    }
    const int64_t lines = stamps->count * (table->columns ? s->items : 1);
    if (*total > STEPS_FOR_ANY && *total / MOST_STEPS_A_LINE > lines)
        return qn_context_fail(table->ctx, QN_BAD_FORMAT,
                               "%s: %lld values on %lld steps of a %s: nearly all is missing",
                               table->path, (long long)lines, (long long)*total, s->every);
    return QN_OK;
}

/** Where the line of a value is kept: a wide file has one for all items. */
static int64_t line_place(const qn_series *s, int64_t item, int64_t step) {
    return s->format == QN_SERIES_WIDE ? step : s->offset[item] + step - s->start[item];
}

static void place_values(const qni_table *table, qn_series *s) {
    const qni_stamps *stamps = &table->stamps;
    for (int64_t i = 0; i < stamps->count; i++) {
        int64_t step;
        const qni_stamp *stamp = &stamps->items[i];
        const double *row = table->values + stamp->row * table->width;
        qni_step_of(&s->axis, stamp->time, &step);
        const int64_t first = table->columns ? 0 : stamp->item;
        const int64_t end = table->columns ? s->items : stamp->item + 1;
        for (int64_t item = first; item < end; item++) {
            const double value = row[table->columns ? table->columns[item] : 0];
            const int64_t at = s->offset[item] + step - s->start[item];
            s->observed[at] = !isnan(value);
            s->lines[line_place(s, item, step)] = (uint32_t)stamp->line;
            s->values[at] = isnan(value) ? 0 : value;
        }
    }
}

/** Fills what is missing among an item's `count` values. */
static void fill_item(double *values, const bool *observed, int64_t count, qn_series_fill fill) {
    int64_t last = -1;
    for (int64_t i = 0; i <= count && fill != QN_FILL_ZERO; i++) {
        if (i < count && !observed[i])
            continue;
        const bool inside = last >= 0 && i < count, known = last >= 0 || i < count;
        for (int64_t j = last + 1; j < i; j++) {
            const double part = inside ? (double)(j - last) / (double)(i - last) : 0;
            const double left = last >= 0 ? values[last] : known ? values[i] : 0;
            values[j] = fill == QN_FILL_LINEAR && inside ? left + part * (values[i] - left) : left;
        }
        last = i;
    }
}

static qn_status lay_out(const qni_table *table, qn_series *s, qn_series_fill fill) {
    const size_t items = (size_t)s->items;
    int64_t total = 0;
    s->start = calloc(items, sizeof(*s->start));
    s->end = calloc(items, sizeof(*s->end));
    s->offset = calloc(items, sizeof(*s->offset));
    if (!s->start || !s->end || !s->offset)
        return qn_context_fail(s->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %zu items",
                               table->path, items);
    qn_status status = place_items(table, s, &total);
    if (status != QN_OK)
        return status;
    s->values = calloc((size_t)total, sizeof(*s->values));
    s->observed = calloc((size_t)total, sizeof(*s->observed));
    const int64_t lines = s->format == QN_SERIES_WIDE ? s->steps : total;
    s->lines = calloc((size_t)lines, sizeof(*s->lines));
    if (!s->values || !s->observed || !s->lines)
        return qn_context_fail(s->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %lld values",
                               table->path, (long long)total);
    place_values(table, s);
    for (int64_t i = 0; i < s->items; i++)
        fill_item(s->values + s->offset[i], s->observed + s->offset[i], s->end[i] - s->start[i],
                  fill);
    for (int64_t i = 0; i < total; i++)
        s->missing += !s->observed[i];
    return QN_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void destroy_series(void *object) {
    qn_series *s = object;
    qni_strings_free(&s->names);
    qni_strings_free(&s->dropped);
    free(s->start);
    free(s->end);
    free(s->offset);
    free(s->values);
    free(s->observed);
    free(s->lines);
}

/** The series that a table holds, with its names taken from it. */
static qn_series *series_of(qni_table *table, const qni_axis *axis, qn_series_fill fill) {
    qn_series *s = qn_object_new(table->ctx, "series", sizeof(*s), destroy_series);
    if (!s)
        return NULL;
    s->ctx = table->ctx;
    s->format = table->format;
    s->axis = *axis;
    s->items = table->names.count;
    s->names = table->names;
    s->dropped = table->dropped;
    table->names = table->dropped = (qni_strings){0};
    qni_frequency_name(axis, s->frequency);
    qni_frequency_words(axis, s->every);
    if (lay_out(table, s, fill)) {
        qn_series_free(s);
        return NULL;
    }
    return s;
}

static qn_series *open_series(qn_context *ctx, const char *path, const qn_series_opts *opts) {
    static const qn_series_opts defaults = {0};
    qni_bytes bytes;
    opts = opts ? opts : &defaults;
    qni_notes notes = {""};
    if (qni_text_read(ctx, path, &bytes, &notes) != QN_OK)
        return NULL;
    qni_table table = {.ctx = ctx, .path = path, .format = opts->format, .notes = &notes};
    qni_axis axis = {0};
    qn_series *series = NULL;
    if (read_table(&table, &bytes) == QN_OK &&
        qni_axis_find(&table, opts->frequency, &axis) == QN_OK)
        series = series_of(&table, &axis, opts->fill);
    if (series)
        series->notes = notes;
    free(bytes.data);
    free_table(&table);
    return series;
}

qn_series *qn_series_open(qn_context *ctx, const char *path, const qn_series_opts *opts) {
    void *locale = qn_locale_enter();
    qn_series *series = open_series(ctx, path, opts);
    qn_locale_leave(locale);
    return series;
}

void qn_series_free(qn_series *series) { qn_object_free(series, "series_free"); }

/* ---- what it holds --------------------------------------------------------------------------- */

qn_series_facts qn_series_info(const qn_series *series) {
    if (!qn_object_alive(series, "series_info"))
        return (qn_series_facts){.frequency = "", .every = ""};
    return (qn_series_facts){.format = series->format,
                             .items = series->items,
                             .steps = series->steps,
                             .missing = series->missing,
                             .frequency = series->frequency,
                             .every = series->every,
                             .year = qni_year(&series->axis),
                             .season = qni_season(&series->axis)};
}

qn_context *qn_series_context(const qn_series *series) {
    return qn_object_alive(series, "series") ? series->ctx : NULL;
}

static bool has_item(const qn_series *series, int64_t item) {
    return qn_object_alive(series, "series") && item >= 0 && item < series->items;
}

const char *qn_series_notes(const qn_series *series) {
    return qn_object_alive(series, "series_notes") ? series->notes.text : "";
}

const char *qn_series_name(const qn_series *series, int64_t item) {
    return has_item(series, item) ? qni_strings_at(&series->names, item) : NULL;
}

const char *qn_series_dropped(const qn_series *series, int index) {
    if (!qn_object_alive(series, "series_dropped") || index < 0 || index >= series->dropped.count)
        return NULL;
    return qni_strings_at(&series->dropped, index);
}

int64_t qn_series_start(const qn_series *series, int64_t item) {
    return has_item(series, item) ? series->start[item] : 0;
}

int64_t qn_series_end(const qn_series *series, int64_t item) {
    return has_item(series, item) ? series->end[item] : 0;
}

static bool has_step(const qn_series *series, int64_t item, int64_t step) {
    return has_item(series, item) && step >= series->start[item] && step < series->end[item];
}

double qn_series_value(const qn_series *series, int64_t item, int64_t step) {
    if (!has_step(series, item, step))
        return NAN;
    return series->values[series->offset[item] + step - series->start[item]];
}

bool qn_series_observed(const qn_series *series, int64_t item, int64_t step) {
    return has_step(series, item, step) &&
           series->observed[series->offset[item] + step - series->start[item]];
}

int64_t qn_series_line(const qn_series *series, int64_t item, int64_t step) {
    return qn_series_observed(series, item, step) ? series->lines[line_place(series, item, step)]
                                                  : 0;
}

const char *qn_series_time(const qn_series *series, int64_t step, char out[32]) {
    if (!out) {
        qn_context_fail(qn_series_context(series), QN_INVALID_ARGUMENT, "series_time: out is NULL");
        return NULL;
    }
    out[0] = '\0';
    const bool alive = qn_object_alive(series, "series_time");
    return alive ? qni_time_text(&series->axis, qni_time_of(&series->axis, step), out) : out;
}

int qn_series_features(const qn_series *series, int64_t step, float out[QN_SERIES_FEATURES]) {
    if (!out)
        qn_context_fail(qn_series_context(series), QN_INVALID_ARGUMENT,
                        "series_features: out is NULL");
    return out && qn_object_alive(series, "series_features")
               ? qni_calendar_features(&series->axis, qni_time_of(&series->axis, step), out)
               : 0;
}

qn_status qn_series_scale(const qn_series *series, int64_t start, int64_t end, double *mean,
                          double *std) {
    if (!qn_object_alive(series, "series_scale"))
        return QN_INVALID_ARGUMENT;
    if (!mean || !std)
        return qn_context_fail(series->ctx, QN_INVALID_ARGUMENT,
                               "series_scale: no place for the means or the deviations");
    start = start < 0 ? 0 : start; /* nothing is observed outside */
    end = end > series->steps ? series->steps : end;
    for (int64_t item = 0; item < series->items; item++) {
        double sum = 0, squares = 0;
        int64_t count = 0;
        for (int64_t t = start; t < end; t++)
            if (qn_series_observed(series, item, t)) {
                sum += qn_series_value(series, item, t);
                count++;
            }
        mean[item] = count ? sum / (double)count : 0;
        for (int64_t t = start; t < end; t++)
            if (qn_series_observed(series, item, t))
                squares += pow(qn_series_value(series, item, t) - mean[item], 2);
        std[item] = count ? sqrt(squares / (double)count) : 0;
        /* What is constant but for rounding has no deviation either. */
        if (!(std[item] > 1e-12 * fabs(mean[item])))
            std[item] = 1;
    }
    return QN_OK;
}
