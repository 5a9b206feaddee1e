/* forecast_windows.c: forecasts of many windows, in the items' own units. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "forecasting.h"

/** What is needed for one batch after the other. */
typedef struct run {
    const forecast_model *model;
    const forecast_set *set;
    const forecast_request *request;
    qn_dataset *windows;
    void (*take)(void *data, const forecast_result *result);
    void *data;
    float *values;                     /* what the network says of a batch */
    double *actual, *mean, *quantiles; /* of one result */
    bool *negative;                    /* of each item: goes_negative() */
    int64_t batch;
} run;

double forecast_quantile(const float *sorted, int64_t count, double level) {
    const double rank = level * (double)(count - 1);
    const int64_t below = (int64_t)rank, above = below + 1 < count ? below + 1 : below;
    const double part = rank - (double)below;
    return (1 - part) * (double)sorted[below] + part * (double)sorted[above];
}

static int by_size(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/** Whether an item was ever below zero before the steps that are forecast. */
static bool goes_negative(const run *r, int64_t item) {
    const qn_series *s = r->set->series;
    const int64_t end = r->request->future ? qn_series_end(s, item) : r->request->start;
    for (int64_t t = qn_series_start(s, item); t < end; t++)
        if (qn_series_value(s, item, t) < 0)
            return true;
    return false;
}

/** Whether f32 has a number: it is finite, and no larger than the greatest of f32. */
static bool in_f32(double value) { return fabs(value) <= (double)FLT_MAX; }

/** Whether the forecast of step h after `step` is made of numbers; if not, an error that names it.
 * After one there are no results any more. */
static bool check_step(const run *r, int64_t item, int64_t step, int64_t h) {
    const qn_series *s = r->set->series;
    const int levels = r->model->level_count;
    bool fine = in_f32(r->mean[h]);
    for (int i = 0; i < levels; i++)
        fine &= in_f32(r->quantiles[h * levels + i]);
    if (fine)
        return qn_context_error(qn_series_context(s), NULL) == QN_OK;
    char time[32];
    qn_context_fail(qn_series_context(s), QN_INVALID_ARGUMENT,
                    "%s:%lld: item '%s': the forecast of %s, from what ends here, is no number "
                    "that f32 has",
                    r->set->name, (long long)qn_series_line(s, item, step - 1),
                    qn_series_name(s, item), qn_series_time(s, step + h, time));
    return false;
}

/** Gives one result away: what is in r->mean and r->quantiles, with what came. What never was
 * negative has no negative quantiles. */
static void give(const run *r, int64_t item, int64_t step) {
    for (int64_t h = 0; h < r->model->sizes.horizon; h++)
        if (!check_step(r, item, step, h))
            return;
    const double least = r->negative[item] ? -INFINITY : 0;
    for (int64_t i = 0; i < r->model->sizes.horizon * r->model->level_count; i++)
        r->quantiles[i] = fmax(r->quantiles[i], least);
    for (int64_t h = 0; h < r->model->sizes.horizon; h++) {
        const bool observed = qn_series_observed(r->set->series, item, step + h);
        r->actual[h] = observed ? qn_series_value(r->set->series, item, step + h) : NAN;
    }
    r->take(r->data, &(forecast_result){.item = item,
                                        .step = step,
                                        .actual = r->actual,
                                        .mean = r->mean,
                                        .quantiles = r->quantiles});
}

/* ---- all steps at once --------------------------------------------------------------------- */

/** The results of one window of a point model, whose values are [horizon][channels]. */
static void give_point(const run *r, const float *values, qn_window at) {
    const forecast_model *m = r->model;
    const int64_t channels = m->sizes.channels;
    for (int64_t c = 0; c < channels; c++) {
        const int64_t item = at.item + c;
        for (int64_t h = 0; h < m->sizes.horizon; h++) {
            const double value = (double)values[h * channels + c];
            const float *offsets = m->offsets + (h * channels + c) * m->level_count;
            r->mean[h] = value * m->std[item] + m->mean[item];
            for (int i = 0; i < m->level_count; i++)
                r->quantiles[h * m->level_count + i] =
                    (value + (double)offsets[i]) * m->std[item] + m->mean[item];
        }
        give(r, item, at.step);
    }
}

static void run_point(run *r) {
    const forecast_model *m = r->model;
    qn_context *ctx = qn_dataset_context(r->windows);
    const size_t size = (size_t)(m->sizes.horizon * m->sizes.channels);
    qn_loader *loader = qn_loader_new(
        r->windows, &(qn_loader_opts){.batch_size = r->batch, .drop_last = r->request->drop_last});
    qn_batch batch;
    int64_t index = 0;
    while (qn_loader_next(loader, &batch)) {
        qn_tensor *y = qn_forward(m->net, batch.x);
        const size_t bytes = (size_t)batch.size * size * sizeof(*r->values);
        if (qn_tensor_read(y, r->values, bytes) != QN_OK)
            break;
        qn_step_end(ctx);
        for (int64_t i = 0; i < batch.size; i++)
            give_point(r, r->values + (size_t)i * size, qn_windows_at(r->windows, index++));
    }
    qn_loader_free(loader);
    qn_step_end(ctx);
}

/* ---- step after step ----------------------------------------------------------------------- */

/** The result of one window of "deepar", from its paths [paths][horizon]; `sorted` has room for a
 * value of each. */
static void give_paths(const run *r, const float *values, qn_window at, float *sorted) {
    const forecast_model *m = r->model;
    const int64_t paths = r->request->samples ? r->request->samples : 1;
    for (int64_t h = 0; h < m->sizes.horizon; h++) {
        double sum = 0;
        for (int64_t i = 0; i < paths; i++) {
            sorted[i] = values[i * m->sizes.horizon + h];
            sum += (double)sorted[i];
        }
        qsort(sorted, (size_t)paths, sizeof(*sorted), by_size);
        r->mean[h] = sum / (double)paths;
        for (int i = 0; i < m->level_count; i++)
            r->quantiles[h * m->level_count + i] = forecast_quantile(sorted, paths, m->levels[i]);
    }
    give(r, at.item, at.step);
}

static void run_recursive(run *r) {
    const forecast_model *m = r->model;
    const qn_dataset_desc *info = qn_dataset_info(r->windows);
    const int64_t paths = r->request->samples ? r->request->samples : 1;
    const int64_t steps = m->sizes.look_back + m->sizes.horizon, width = m->sizes.inputs;
    float *x = malloc((size_t)(r->batch * steps * width) * sizeof(*x));
    float *y = malloc((size_t)steps * sizeof(*y)),
          *sorted = malloc((size_t)paths * sizeof(*sorted));
    if (!x || !y || !sorted)
        qn_context_fail(qn_dataset_context(r->windows), QN_OUT_OF_MEMORY,
                        "out of memory for %lld windows", (long long)r->batch);
    for (int64_t first = 0; first < info->count && x && y && sorted; first += r->batch) {
        const int64_t left = info->count - first, n = left < r->batch ? left : r->batch;
        if (n < r->batch && r->request->drop_last)
            break;
        for (int64_t i = 0; i < n; i++)
            qn_dataset_get(r->windows, first + i, x + i * steps * width, y);
        if (deepar_paths(m->net, &m->sizes, x, n, r->set->facts.season, r->request->samples,
                         r->values))
            break;
        for (int64_t i = 0; i < n; i++)
            give_paths(r, r->values + i * paths * m->sizes.horizon,
                       qn_windows_at(r->windows, first + i), sorted);
    }
    free(x);
    free(y);
    free(sorted);
}

/* ---- both ---------------------------------------------------------------------------------- */

/** Options of windows whose targets lie within start <= t < end, as far as that is known. */
static qn_windows_opts window_opts(const forecast_model *m, const forecast_set *set, int64_t start,
                                   int64_t end) {
    const int64_t from = start - m->sizes.look_back;
    return (qn_windows_opts){.name = set->name,
                             .kind = m->kind,
                             .look_back = m->sizes.look_back,
                             .horizon = m->sizes.horizon,
                             .start = from > 0 ? from : 0,
                             .end = end,
                             .mean = m->mean,
                             .std = m->std};
}

qn_dataset *forecast_dataset(const forecast_model *model, const forecast_set *set, int64_t start,
                             int64_t end, int64_t most) {
    qn_windows_opts opts = window_opts(model, set, start, end);
    qn_dataset *all = qn_windows(set->series, &opts);
    if (!all || most == 0 || qn_dataset_info(all)->count <= most)
        return all;
    opts.stride = (qn_dataset_info(all)->count - 1) / most + 1;
    /* An odd stride does not always see the same hours of the day or days of the week. */
    opts.stride += opts.stride % 2 == 0;
    qn_dataset_free(all);
    return qn_windows(set->series, &opts);
}

/** Takes the memory for a batch and a result; the batch suits what a window needs. */
static bool reserve(run *r) {
    const forecast_model *m = r->model;
    const bool recursive = m->kind == QN_WINDOWS_RECURSIVE;
    const int64_t paths = r->request->samples > 0 && recursive ? r->request->samples : 1;
    r->batch = r->request->batch_size ? r->request->batch_size : recursive ? 6400 / paths + 1 : 64;
    if (recursive && r->batch > 512)
        r->batch = 512;
    const size_t horizon = (size_t)m->sizes.horizon;
    r->values =
        malloc((size_t)(r->batch * paths * m->sizes.channels) * horizon * sizeof(*r->values));
    r->actual = malloc(horizon * sizeof(*r->actual));
    r->mean = malloc(horizon * sizeof(*r->mean));
    r->quantiles = malloc(horizon * (size_t)m->level_count * sizeof(*r->quantiles));
    r->negative = malloc((size_t)m->items * sizeof(*r->negative));
    for (int64_t i = 0; r->negative && i < m->items; i++)
        r->negative[i] = goes_negative(r, i);
    return r->values && r->actual && r->mean && r->quantiles && r->negative;
}

qn_status forecast_windows(const forecast_model *model, const forecast_set *set,
                           const forecast_request *request,
                           void (*take)(void *data, const forecast_result *result), void *data) {
    qn_context *ctx = qn_series_context(set->series);
    run r = {.model = model, .set = set, .request = request, .take = take, .data = data};
    qn_windows_opts opts = window_opts(model, set, request->start, request->end);
    opts.stride = request->stride;
    opts.future = request->future;
    if (request->future)
        opts.start = opts.end = 0;
    r.windows = qn_windows(set->series, &opts);
    if (r.windows && !reserve(&r))
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory for forecasts");
    if (r.windows && qn_context_error(ctx, NULL) == QN_OK) {
        const bool grad = qn_context_set_grad(ctx, false);
        const bool training = qn_module_is_training(model->net);
        qn_module_train(model->net, false);
        (model->kind == QN_WINDOWS_RECURSIVE ? run_recursive : run_point)(&r);
        qn_module_train(model->net, training);
        qn_context_set_grad(ctx, grad);
    }
    free(r.values);
    free(r.actual);
    free(r.mean);
    free(r.quantiles);
    free(r.negative);
    qn_dataset_free(r.windows);
    return qn_context_error(ctx, NULL);
}
