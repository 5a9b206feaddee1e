/* series_metrics.c: the seasonal naive forecast, and how good a forecast was. */
#include <math.h>

#include "series_data.h"

qn_status qn_seasonal_naive(const qn_series *series, int64_t item, int64_t step, int64_t horizon,
                            double *out) {
    if (!series || !out)
        return qn_context_fail(qn_series_context(series), QN_INVALID_ARGUMENT,
                               "seasonal_naive: out is NULL");
    if (!qn_object_alive(series, "seasonal_naive"))
        return QN_INVALID_ARGUMENT;
    const int64_t start = qn_series_start(series, item), end = qn_series_end(series, item);
    const int64_t season =
        step - start >= qni_season(&series->axis) ? qni_season(&series->axis) : 1;
    if (step <= start || step > end)
        return qn_context_fail(series->ctx, QN_INVALID_ARGUMENT,
                               "seasonal naive: item %lld has nothing before step %lld",
                               (long long)item, (long long)step);
    for (int64_t h = 0; h < horizon; h++)
        out[h] = qn_series_value(series, item, step - season + h % season);
    return QN_OK;
}

double qn_seasonal_error(const qn_series *series, int64_t item, int64_t start, int64_t end) {
    if (!qn_object_alive(series, "seasonal_error"))
        return NAN;
    const int64_t season = qni_season(&series->axis);
    double sum = 0;
    int64_t count = 0;
    start = start < 0 ? 0 : start; /* nothing is observed outside */
    end = end > series->steps ? series->steps : end;
    if (start > end)
        return NAN;
    for (int64_t t = start + season; t < end; t++)
        if (qn_series_observed(series, item, t) && qn_series_observed(series, item, t - season)) {
            sum +=
                fabs(qn_series_value(series, item, t) - qn_series_value(series, item, t - season));
            count++;
        }
    return count ? sum / (double)count : NAN;
}

void qn_forecast_score_add(qn_forecast_score *score, int64_t horizon, const double *actual,
                           const double *mean, const double *quantiles, double seasonal_error) {
    double absolute = 0;
    int64_t values = 0;
    if (!score || !actual || !mean || !quantiles || score->count < 0 ||
        score->count > QN_MAX_QUANTILES)
        return;
    for (int64_t h = 0; h < horizon; h++) {
        const double y = actual[h], error = fabs(y - mean[h]);
        if (isnan(y))
            continue;
        for (int i = 0; i < score->count; i++) {
            const double above = y - quantiles[h * score->count + i], level = score->levels[i];
            score->pinball[i] += fmax(level * above, (level - 1) * above);
        }
        absolute += error;
        score->squared += error * error;
        score->size += fabs(y);
        values++;
        if (y != 0) {
            score->percentage += error / fabs(y);
            score->percentages++;
        }
    }
    score->absolute += absolute;
    score->values += values;
    if (values > 0 && seasonal_error > 0) {
        score->scaled += absolute / (double)values / seasonal_error;
        score->windows++;
    }
}

/** a / b, NaN where there is nothing to divide by. */
static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }

qn_forecast_metrics qn_forecast_score_metrics(const qn_forecast_score *score) {
    static const qn_forecast_score none;
    if (!score || score->count < 0 || score->count > QN_MAX_QUANTILES)
        score = &none;
    qn_forecast_metrics out = {.wape = ratio(score->absolute, score->size),
                               .rmse = sqrt(ratio(score->squared, (double)score->values)),
                               .mase = ratio(score->scaled, (double)score->windows),
                               .mape = ratio(score->percentage, (double)score->percentages)};
    for (int i = 0; i < score->count; i++) {
        out.wql[i] = ratio(2 * score->pinball[i], score->size);
        out.mean_wql += out.wql[i] / score->count;
    }
    return out;
}
