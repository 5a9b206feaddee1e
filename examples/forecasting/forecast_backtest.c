/* forecast_backtest.c: quantiles of point forecasts, and how good forecasts are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "forecasting.h"

/** Paths that "deepar" draws unless the options say otherwise. */
#define SAMPLES 100

/** Where a channel has fewer validation windows, the errors of all channels are taken together. */
#define FEW_WINDOWS 50

/** Most errors that calibration keeps. */
#define MOST_ERRORS ((int64_t)1 << 24)

/* ---- quantiles of point forecasts ---------------------------------------------------------- */

/** Standardised errors, [horizon][channels][windows]. */
typedef struct errors {
    const forecast_model *model;
    float *values;
    int64_t windows, taken; /* windows; results so far */
} errors;

static void take_errors(void *data, const forecast_result *result) {
    errors *e = data;
    const int64_t channels = e->model->sizes.channels;
    const int64_t window = e->taken / channels, channel = e->taken % channels;
    for (int64_t h = 0; h < e->model->sizes.horizon; h++)
        e->values[(h * channels + channel) * e->windows + window] =
            (float)((result->actual[h] - result->mean[h]) / e->model->std[result->item]);
    e->taken++;
}

static int by_size(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/** Sorts the errors that are known to the front; returns how many. */
static int64_t sort_known(float *values, int64_t count) {
    int64_t known = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            values[known++] = values[i];
    qsort(values, (size_t)known, sizeof(*values), by_size);
    return known;
}

/** Sets the offsets of step h to the quantiles of its errors. */
static void set_offsets(forecast_model *m, errors *e, int64_t h) {
    const int64_t channels = m->sizes.channels;
    const int64_t groups = e->windows >= FEW_WINDOWS ? channels : 1;
    const int64_t size = channels / groups * e->windows;
    for (int64_t group = 0; group < groups; group++) {
        float *values = e->values + h * channels * e->windows + group * size;
        const int64_t known = sort_known(values, size);
        for (int64_t c = group; c < (groups == 1 ? channels : group + 1); c++)
            for (int i = 0; i < m->level_count; i++)
                m->offsets[(h * channels + c) * m->level_count + i] =
                    known ? (float)forecast_quantile(values, known, m->levels[i]) : 0;
    }
}

qn_status forecast_calibrate(forecast_model *model, const forecast_set *set) {
    if (!model->offset_buffer)
        return QN_OK;
    const int64_t size = model->sizes.horizon * model->sizes.channels;
    qn_dataset *windows = forecast_dataset(model, set, set->train_end, set->validation_end, 0);
    const int64_t count = windows ? qn_dataset_info(windows)->count : 0;
    const int64_t stride = count * size / MOST_ERRORS + 1;
    qn_dataset_free(windows);
    errors e = {.model = model,
                .windows = count / stride + (model->kind == QN_WINDOWS_SINGLE ? model->items : 1)};
    e.values = malloc((size_t)(e.windows * size) * sizeof(*e.values));
    if (!e.values) {
        return qn_context_fail(qn_series_context(set->series), QN_OUT_OF_MEMORY,
                               "out of memory for the errors of %lld windows",
                               (long long)e.windows);
    }
    for (int64_t i = 0; i < e.windows * size; i++)
        e.values[i] = NAN;
    const forecast_request request = {
        .start = set->train_end, .end = set->validation_end, .stride = stride};
    const qn_status status = forecast_windows(model, set, &request, take_errors, &e);
    for (int64_t h = 0; h < model->sizes.horizon && status == QN_OK; h++)
        set_offsets(model, &e, h);
    free(e.values);
    if (status != QN_OK)
        return status;
    return qn_tensor_write(model->offset_buffer, model->offsets,
                           (size_t)(size * model->level_count) * sizeof(*model->offsets));
}

/* ---- squared and absolute errors ----------------------------------------------------------- */

typedef struct sums {
    const forecast_model *model;
    double squared, absolute;
    int64_t count;
} sums;

static void take_sums(void *data, const forecast_result *result) {
    sums *s = data;
    for (int64_t h = 0; h < s->model->sizes.horizon; h++) {
        const double error = (result->mean[h] - result->actual[h]) / s->model->std[result->item];
        if (isnan(error))
            continue;
        s->squared += error * error;
        s->absolute += fabs(error);
        s->count++;
    }
}

/* ---- the back-test ------------------------------------------------------------------------- */

typedef struct backtest {
    const forecast_model *model;
    const forecast_set *set;
    qn_forecast_score score, naive;
    double *naive_mean, *naive_quantiles;
    forecast_measures *out;
    bool failed;
} backtest;

/** Keeps a forecast for the report. */
static bool keep(const backtest *b, const forecast_result *result, double score) {
    forecast_measures *out = b->out;
    const int levels = b->model->level_count;
    const int64_t count = out->kept_count, horizon = b->model->sizes.horizon;
    if ((count & (count - 1)) == 0) { /* room is the next power of two */
        forecast_kept *kept = realloc(out->kept, (size_t)(count ? 2 * count : 1) * sizeof(*kept));
        if (!kept)
            return false;
        out->kept = kept;
    }
    float *values = malloc((size_t)(horizon * (1 + levels)) * sizeof(*values));
    if (!values)
        return false;
    for (int64_t h = 0; h < horizon; h++) {
        values[h * (1 + levels)] = (float)result->mean[h];
        for (int i = 0; i < levels; i++)
            values[h * (1 + levels) + 1 + i] = (float)result->quantiles[h * levels + i];
    }
    out->kept[out->kept_count++] = (forecast_kept){
        .item = result->item, .step = result->step, .score = score, .values = values};
    return true;
}

static void take_backtest(void *data, const forecast_result *result) {
    backtest *b = data;
    const forecast_model *m = b->model;
    const int64_t horizon = m->sizes.horizon;
    const double error = qn_seasonal_error(b->set->series, result->item, 0, b->set->validation_end);
    if (b->failed ||
        qn_seasonal_naive(b->set->series, result->item, result->step, horizon, b->naive_mean))
        return;
    for (int64_t h = 0; h < horizon; h++)
        for (int i = 0; i < m->level_count; i++)
            b->naive_quantiles[h * m->level_count + i] = b->naive_mean[h];
    qn_forecast_score_add(&b->score, horizon, result->actual, result->mean, result->quantiles,
                          error);
    qn_forecast_score_add(&b->naive, horizon, result->actual, b->naive_mean, b->naive_quantiles,
                          error);
    qn_forecast_score own = {.count = m->level_count};
    memcpy(own.levels, m->levels, sizeof(own.levels));
    qn_forecast_score_add(&own, horizon, result->actual, result->mean, result->quantiles, error);
    double score = 0;
    for (int i = 0; i < own.count; i++)
        score += own.pinball[i] / (error > 0 ? error : 1);
    b->failed = own.values > 0 && !keep(b, result, score);
}

/** Consecutive windows over the test part, each beside the seasonal naive forecast. */
static qn_status run_backtest(const example_options *options, const forecast_model *model,
                              const forecast_set *set, forecast_measures *out) {
    const int64_t horizon = model->sizes.horizon;
    const double samples = options->number[FORECAST_SAMPLES];
    backtest b = {.model = model, .set = set, .out = out};
    b.score.count = b.naive.count = model->level_count;
    memcpy(b.score.levels, model->levels, sizeof(model->levels));
    memcpy(b.naive.levels, model->levels, sizeof(model->levels));
    b.naive_mean = malloc((size_t)horizon * sizeof(*b.naive_mean));
    b.naive_quantiles = malloc((size_t)(horizon * model->level_count) * sizeof(*b.naive_quantiles));
    const forecast_request request = {.start = set->validation_end,
                                      .end = set->end,
                                      .stride = horizon,
                                      .samples = samples > 0 ? (int)samples : SAMPLES};
    b.failed = !b.naive_mean || !b.naive_quantiles;
    qn_status status = b.failed ? QN_OK : forecast_windows(model, set, &request, take_backtest, &b);
    free(b.naive_mean);
    free(b.naive_quantiles);
    if (b.failed && status == QN_OK)
        status = qn_context_fail(qn_series_context(set->series), QN_OUT_OF_MEMORY,
                                 "out of memory for the back-test");
    out->model = qn_forecast_score_metrics(&b.score);
    out->naive = qn_forecast_score_metrics(&b.naive);
    out->windows = out->kept_count;
    return status;
}

qn_status forecast_measure(const example_options *options, const forecast_model *model,
                           const forecast_set *set, forecast_measures *out) {
    qn_context *ctx = qn_series_context(set->series);
    sums s = {.model = model};
    *out = (forecast_measures){0};
    const forecast_request every = {.start = set->validation_end,
                                    .end = set->end,
                                    .stride = 1,
                                    .batch_size =
                                        forecast_recipe_of(options, model->name).batch_size,
                                    .drop_last = options->own[FORECAST_DROP_LAST]};
    qn_status status = forecast_windows(model, set, &every, take_sums, &s);
    out->mse = s.squared / (double)s.count;
    out->mae = s.absolute / (double)s.count;
    if (status != QN_OK)
        return status;
    /* Paths are drawn from the same numbers after any training, and by evaluate. */
    const qn_random_state random = qn_context_random(ctx);
    qn_context_seed(ctx, 1);
    status = run_backtest(options, model, set, out);
    qn_context_set_random(ctx, random);
    return status;
}

void forecast_measures_free(forecast_measures *measures) {
    for (int64_t i = 0; i < measures->kept_count; i++)
        free(measures->kept[i].values);
    free(measures->kept);
}
