/* series_windows.c: windows over time series, as datasets. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "series_data.h"

/** The values that a group of windows is cut from: one item's, or all side by side. */
typedef struct group {
    int64_t first, end; /* steps of the rows */
    int64_t samples;    /* windows, and those of the groups before */
    int64_t before;
    int64_t last;  /* the step that the last window forecasts first */
    float *values; /* [end - first][width], filled in and standardised */
    float *known;  /* the same with NaN where nothing was observed; may be `values` */
    double *sizes; /* recursive: mean absolute value observed up to each row */
} group;

/* Scales of windows are at least this part of the mean absolute value of all before: a week without
 * rain is no measure for the next. */
#define LEAST_SCALE 0.25

typedef struct windows {
    const qn_series *series;
    qn_windows_opts opts; /* stride set */
    int64_t width, season;
    group *groups;
    int64_t group_count;
    int features;
    float *calendar; /* recursive: [steps + horizon][features] */
} windows;

/* ---- samples --------------------------------------------------------------------------------- */

/** The group that a sample is of. */
static const group *group_of(const windows *w, int64_t index) {
    int64_t low = 0, high = w->group_count - 1;
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (w->groups[middle].before <= index)
            low = middle;
        else
            high = middle - 1;
    }
    return &w->groups[low];
}

/** The step that a sample of a group forecasts first. */
static int64_t step_of(const windows *w, const group *g, int64_t index) {
    return g->last - (g->before + g->samples - 1 - index) * w->opts.stride;
}

/** Copies `count` rows from `step` on: of `filled`, rows before the first repeat it; of what is
 * known, all outside are NaN. */
static void copy_rows(const group *g, int64_t width, bool filled, int64_t step, int64_t count,
                      float *out) {
    const float *rows = filled ? g->values : g->known;
    if (step >= g->first && step + count <= g->end) {
        memcpy(out, rows + (step - g->first) * width, (size_t)(count * width) * sizeof(*out));
        return;
    }
    for (int64_t i = 0; i < count * width; i++) {
        const int64_t t = step + i / width;
        const int64_t row = t < g->first ? 0 : t >= g->end ? g->end - g->first - 1 : t - g->first;
        const bool inside = t >= g->first && t < g->end;
        out[i] = filled || inside ? rows[row * width + i % width] : NAN;
    }
}

static qn_status get_rows(void *data, int64_t index, void *x, void *y) {
    const windows *w = data;
    const group *g = group_of(w, index);
    const int64_t step = step_of(w, g, index);
    copy_rows(g, w->width, true, step - w->opts.look_back, w->opts.look_back, x);
    copy_rows(g, w->width, false, step, w->opts.horizon, y);
    return QN_OK;
}

/** The scale of the window start <= t < end (see QN_WINDOWS_RECURSIVE). */
static double scale_of(const group *g, int64_t start, int64_t end) {
    double sum = 0;
    int64_t count = 0;
    for (int64_t t = start > g->first ? start : g->first; t < end && t < g->end; t++) {
        const float value = g->known[t - g->first];
        if (!isnan(value)) {
            sum += fabs((double)value);
            count++;
        }
    }
    const double least = LEAST_SCALE * g->sizes[end - g->first - 1];
    const double scale = fmax(count ? sum / (double)count : 0, least);
    return scale > 0 ? scale : 1;
}

/** The value of a group of one item in the window's scale; 0 where there is none. */
static float scaled(const group *g, int64_t step, double scale) {
    if (step < g->first || step >= g->end)
        return 0;
    return (float)((double)g->values[step - g->first] / scale);
}

static qn_status get_recursive(void *data, int64_t index, void *x, void *y) {
    const windows *w = data;
    const group *g = group_of(w, index);
    const int64_t step = step_of(w, g, index), start = step - w->opts.look_back;
    const double scale = scale_of(g, start, step);
    float *row = x, *target = y;
    for (int64_t t = start; t < step + w->opts.horizon; t++) {
        row[QN_WINDOW_ITEM] = (float)(g - w->groups);
        row[QN_WINDOW_LOG_SCALE] = (float)log(scale);
        row[QN_WINDOW_LAST] = scaled(g, t - 1, scale);
        row[QN_WINDOW_SEASON] = scaled(g, t - w->season, scale);
        row += QN_WINDOW_INPUTS;
        if (t >= 0)
            memcpy(row, w->calendar + t * w->features, (size_t)w->features * sizeof(*row));
        else
            qn_series_features(w->series, t, row);
        row += w->features;
        const bool inside = t >= g->first && t < g->end;
        *target++ = inside ? (float)((double)g->known[t - g->first] / scale) : NAN;
    }
    return QN_OK;
}

static void describe(void *data, int64_t index, char *text, size_t size) {
    const windows *w = data;
    const qn_window at = {.item = group_of(w, index) - w->groups,
                          .step = step_of(w, group_of(w, index), index)};
    char time[32];
    snprintf(text, size, "%s, %s",
             w->opts.kind == QN_WINDOWS_JOINT ? "all" : qn_series_name(w->series, at.item),
             qn_series_time(w->series, at.step, time));
}

/* ---- making ---------------------------------------------------------------------------------- */

static void destroy_windows(void *data) {
    windows *w = data;
    for (int64_t i = 0; w->groups && i < w->group_count; i++) {
        if (w->groups[i].known != w->groups[i].values)
            free(w->groups[i].known);
        free(w->groups[i].values);
        free(w->groups[i].sizes);
    }
    free(w->groups);
    free(w->calendar);
    qn_object_let_go(w->series);
    free(w);
}

/** A value so far from the mean of training that f32 cannot hold it once standardised. */
static qn_status too_far(const windows *w, int64_t item, int64_t step, double mean, double std) {
    const int64_t line = qn_series_line(w->series, item, step);
    char time[32], place[32] = "";
    if (line > 0)
        snprintf(place, sizeof(place), ":%lld", (long long)line);
    return qn_context_fail(
        w->series->ctx, QN_INVALID_ARGUMENT,
        "%s%s: item '%s' at %s: %g is beyond f32 once standardised by mean %g and deviation %g",
        w->opts.name ? w->opts.name : "windows", place, qn_series_name(w->series, item),
        qn_series_time(w->series, step, time), qn_series_value(w->series, item, step), mean, std);
}

/** Fills a column of a group with an item's values; where the item has
 * none its nearest stands in. */
static qn_status fill_column(const windows *w, const group *g, int64_t item, int64_t column) {
    const qn_series *s = w->series;
    const bool standardised = w->opts.mean && w->opts.std;
    const double mean = standardised ? w->opts.mean[item] : 0;
    const double std = standardised ? w->opts.std[item] : 1;
    for (int64_t t = g->first; t < g->end; t++) {
        const int64_t last = s->end[item] - 1;
        const int64_t near = t < s->start[item] ? s->start[item] : t > last ? last : t;
        const int64_t at = (t - g->first) * w->width + column;
        g->values[at] = (float)((qn_series_value(s, item, near) - mean) / std);
        if (!isfinite(g->values[at]))
            return too_far(w, item, near, mean, std);
        if (g->known != g->values)
            g->known[at] = qn_series_observed(s, item, t) ? g->values[at] : NAN;
    }
    return QN_OK;
}

/** Sets a group's rows to item's range cut to first <= t < end, and counts its windows. */
static void place_windows(const windows *w, group *g, int64_t first, int64_t end) {
    const qn_windows_opts *o = &w->opts;
    g->first = first;
    g->end = end;
    g->last = o->future ? end : end - o->horizon;
    const int64_t least = (o->start > first ? o->start : first) + o->look_back;
    if (o->future)
        g->samples = end > first;
    else if (g->last >= least)
        g->samples = (g->last - least) / o->stride + 1;
    else
        g->samples = g->last > least - o->look_back;
}

/** Sets the mean absolute value observed up to each row of a group of one item. */
static bool fill_sizes(group *g) {
    const int64_t rows = g->end - g->first;
    double sum = 0;
    int64_t count = 0;
    g->sizes = malloc((size_t)rows * sizeof(*g->sizes));
    for (int64_t i = 0; g->sizes && i < rows; i++) {
        if (!isnan(g->known[i])) {
            sum += fabs((double)g->known[i]);
            count++;
        }
        g->sizes[i] = count ? sum / (double)count : 0;
    }
    return g->sizes;
}

static bool fill_group(const windows *w, group *g, int64_t item) {
    const size_t size = (size_t)((g->end - g->first) * w->width) * sizeof(float);
    g->values = malloc(size);
    g->known = w->series->missing || w->width > 1 ? malloc(size) : g->values;
    if (!g->values || !g->known)
        return false;
    for (int64_t column = 0; column < w->width; column++)
        if (fill_column(w, g, item + column, column) != QN_OK)
            return false;
    return w->opts.kind != QN_WINDOWS_RECURSIVE || fill_sizes(g);
}

/** Makes the groups, each with its values. */
static bool make_groups(windows *w, int64_t end) {
    const qn_series *s = w->series;
    const bool joint = w->opts.kind == QN_WINDOWS_JOINT;
    /* Recursive windows may look back beyond their start, at the season before. */
    const int64_t start = w->opts.kind == QN_WINDOWS_RECURSIVE ? 0 : w->opts.start;
    w->group_count = joint ? 1 : s->items;
    w->groups = calloc((size_t)w->group_count, sizeof(*w->groups));
    for (int64_t i = 0, before = 0; w->groups && i < w->group_count; i++) {
        group *g = &w->groups[i];
        const int64_t from = joint || s->start[i] < start ? start : s->start[i];
        place_windows(w, g, from, joint || s->end[i] > end ? end : s->end[i]);
        g->before = before;
        before += g->samples;
        if (g->samples > 0 && !fill_group(w, g, i))
            return false;
    }
    return w->groups;
}

static bool make_calendar(windows *w) {
    const int64_t steps = w->series->steps + w->opts.horizon;
    float row[QN_SERIES_FEATURES];
    w->features = qn_series_features(w->series, 0, row);
    if (w->opts.kind != QN_WINDOWS_RECURSIVE)
        return true;
    w->calendar = malloc(((size_t)steps * (size_t)w->features + 1) * sizeof(*w->calendar));
    for (int64_t t = 0; w->calendar && t < steps; t++) {
        qn_series_features(w->series, t, row);
        memcpy(w->calendar + t * w->features, row, (size_t)w->features * sizeof(*row));
    }
    return w->calendar;
}

/** What is wrong with the options; NULL if nothing is. */
static const char *find_fault(const qn_series *series, const qn_windows_opts *o) {
    const int64_t most = (int64_t)1 << 31;
    if (o->look_back < 1 || o->horizon < 1 || o->look_back > most || o->horizon > most)
        return "look-back and horizon are to be 1 or more";
    if (o->start < 0 || o->end < 0 || o->end > series->steps || o->stride < 0)
        return "start, end or stride is out of range";
    if (!o->mean != !o->std)
        return "mean and std go together";
    return NULL;
}

static qn_dataset *dataset_of(windows *w) {
    const qn_windows_opts *o = &w->opts;
    const group *last = &w->groups[w->group_count - 1];
    const bool recursive = o->kind == QN_WINDOWS_RECURSIVE;
    const int64_t steps = recursive ? o->look_back + o->horizon : o->look_back;
    const qn_dataset_desc desc = {
        .name = o->name ? o->name : "windows",
        .count = last->before + last->samples,
        .x_dtype = QN_F32,
        .x_shape = QN_SHAPE(steps, recursive ? QN_WINDOW_INPUTS + w->features : w->width),
        .y_dtype = QN_F32,
        .y_shape = QN_SHAPE(recursive ? steps : o->horizon, w->width),
        .get = recursive ? get_recursive : get_rows,
        .describe = describe,
        .data = w,
        .destroy = destroy_windows};
    return qn_dataset_new(w->series->ctx, &desc);
}

qn_dataset *qn_windows(qn_series *series, const qn_windows_opts *opts) {
    if (!qn_object_alive(series, "windows") || !opts ||
        qn_context_error(series->ctx, NULL) != QN_OK)
        return NULL;
    const char *fault = find_fault(series, opts);
    if (fault) {
        qn_context_fail(series->ctx, QN_INVALID_ARGUMENT, "windows: %s", fault);
        return NULL;
    }
    windows *w = calloc(1, sizeof(*w));
    const int64_t end = opts->end ? opts->end : series->steps;
    if (w) {
        *w = (windows){.series = series, .opts = *opts, .season = qni_season(&series->axis)};
        qn_object_hold(series);
        w->width = opts->kind == QN_WINDOWS_JOINT ? series->items : 1;
        w->opts.stride = opts->stride ? opts->stride : 1;
        if (opts->kind == QN_WINDOWS_RECURSIVE)
            w->opts.mean = w->opts.std = NULL;
    }
    if (!w || !make_groups(w, end) || !make_calendar(w)) {
        if (w)
            destroy_windows(w);
        if (qn_context_error(series->ctx, NULL) != QN_OK)
            return NULL;
        qn_context_fail(series->ctx, QN_OUT_OF_MEMORY, "windows: out of memory for %lld steps",
                        (long long)series->steps);
        return NULL;
    }
    w->opts.mean = w->opts.std = NULL; /* used, and not ours */
    const group *last = &w->groups[w->group_count - 1];
    if (last->before + last->samples == 0) {
        qn_context_fail(
            series->ctx, QN_INVALID_ARGUMENT,
            "windows: %lld steps (%lld to %lld) are too few to forecast %lld from what is "
            "before them",
            (long long)(end - opts->start), (long long)opts->start, (long long)end,
            (long long)opts->horizon);
        destroy_windows(w);
        return NULL;
    }
    return dataset_of(w);
}

qn_window qn_windows_at(const qn_dataset *dataset, int64_t index) {
    const qn_dataset_desc *desc = qn_dataset_info(dataset);
    if (!desc || (desc->get != get_rows && desc->get != get_recursive) || index < 0 ||
        index >= desc->count)
        return (qn_window){.item = -1, .step = -1};
    const windows *w = desc->data;
    const group *g = group_of(w, index);
    return (qn_window){.item = g - w->groups, .step = step_of(w, g, index)};
}
