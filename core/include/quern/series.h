/* quern/series.h: time series: files, windows for training, and what a forecast is measured by.
 *
 * A qn_series holds several items (columns of a wide file, or items of a long one) on one regular
 * time axis whose steps are numbered from 0.
 *
 *     qn_series *weather = qn_series_open(ctx, "weather.csv", NULL);
 *     qn_windows_opts opts = {.look_back = 96, .horizon = 24};
 *     qn_dataset *windows = qn_windows(weather, &opts); // for qn_fit()
 */
#ifndef QUERN_SERIES_H
#define QUERN_SERIES_H

#include "quern/data.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- files ----------------------------------------------------------------------------------- */

/** Time series of one file. */
typedef struct qn_series qn_series;

/** How a CSV file of time series is laid out. */
typedef enum qn_series_format {
    QN_SERIES_AUTO, /**< found from the header, or from the first line where there is none */
    /** A date column and one column an item, as the ETT sets have it (Zhou et al. 2021). */
    QN_SERIES_WIDE,
    /** Lines of item, timestamp and value in any order that a header names (item_id, unique_id,
     * item, series ...; timestamp, ds, date ...; target_value, y, demand, value, sales ...), or in
     * that order without one: Amazon Forecast's target time series and its kin. Further columns are
     * dimensions: their values join the item's name, so that store and product make an item of its
     * own. A column that changes within items and tells none apart is left out. */
    QN_SERIES_ITEMS
} qn_series_format;

/** What stands in for a missing value inside an item. */
typedef enum qn_series_fill {
    QN_FILL_FORWARD, /**< the last value before it; the first one where there is none before */
    QN_FILL_LINEAR,  /**< the straight line between its neighbours; as forward at the end */
    QN_FILL_ZERO
} qn_series_fill;

typedef struct qn_series_opts {
    qn_series_format format;
    qn_series_fill fill;
    /** NULL: found from the timestamps. Or a unit with a count before it, as Amazon Forecast has
     * them: "Y", "Q", "M", "W", "D", "H", "min", "S", "15min"; steps without a line are then
     * missing. */
    const char *frequency;
} qn_series_opts;

/** Reads time series from a CSV file (RFC 4180, plain or gzip).
 *
 * Timestamps: YYYY-MM-DD or YYYY/MM/DD, alone or with " HH:MM", "THH:MM", ":SS", ".000", "Z" or an
 * offset; YYYYMMDD; YYYY-MM; YYYY; M/D/YYYY or D/M/YYYY where the file shows which; D.M.YYYY. Lines
 * may come in any order. Fields are separated by commas, tabs or semicolons; with semicolons a
 * comma may stand for the decimal point. Times keep the clock that is written, and their offset
 * from UTC where it never changes; where it does, days and longer steps keep the clock, shorter
 * ones are in UTC. The text is UTF-8; a line that is not is taken as Windows-1252. Missing values
 * (an empty field, NA, N/A, NaN, null, None, whatever the case) and steps without a line are
 * counted and filled. In a wide file columns that mostly hold no numbers are left out, and named by
 * qn_series_dropped(), as is a column without a name, or named "index", that numbers the lines.
 * What was guessed is told by qn_series_notes().
 *
 * The frequency is the commonest distance between neighbouring timestamps; an item that mostly
 * comes at another is an error, and so is a timestamp between the steps, the same step twice, two
 * columns of one name, a zone in some times alone, a field that is no number: each names file and
 * line.
 */
QN_API qn_series *qn_series_open(qn_context *ctx, const char *path, const qn_series_opts *opts);
QN_API void qn_series_free(qn_series *series);
/** What was guessed of the file: encoding, separator, zones, columns that are no items. A line
 * each, ended by a newline; "" where nothing was. */
QN_API const char *qn_series_notes(const qn_series *series);
/** Puts the items into the order of these names, as a model that knows them needs it. An item that
 * is not there, and one that is left over, are errors that name it; nothing is changed then. */
QN_API qn_status qn_series_arrange(qn_series *series, const char *const *names, int64_t count);

/** What a file turned out to hold. */
typedef struct qn_series_facts {
    qn_series_format format;
    int64_t items;
    int64_t steps;         /**< from the first timestamp of any item to the last */
    int64_t missing;       /**< values filled in, within the items' own ranges */
    const char *frequency; /**< "H", "15min", "D", "W", "M", "Q", "Y" */
    const char *every;     /**< the same in words: "hour", "15 minutes" */
    double year;           /**< steps in a year, on average */
    int season; /**< steps of the usual cycle: a day of hours or minutes, 7 days, 52 weeks, 12
                   months, 4 quarters, else 1 */
} qn_series_facts;

QN_API qn_series_facts qn_series_info(const qn_series *series);
QN_API qn_context *qn_series_context(const qn_series *series);
/** Name of an item, NULL past the last. */
QN_API const char *qn_series_name(const qn_series *series, int64_t item);
/** Name of a column that was left out, NULL past the last. */
QN_API const char *qn_series_dropped(const qn_series *series, int index);
/** The steps start <= t < end for which an item has lines. */
QN_API int64_t qn_series_start(const qn_series *series, int64_t item);
QN_API int64_t qn_series_end(const qn_series *series, int64_t item);
/** Value of an item at a step, filled in where missing; NaN outside of the item's steps. */
QN_API double qn_series_value(const qn_series *series, int64_t item, int64_t step);
/** Whether the file has a value there. */
QN_API bool qn_series_observed(const qn_series *series, int64_t item, int64_t step);
/** The line of the file that has this value, from 1; 0 where the file has none. */
QN_API int64_t qn_series_line(const qn_series *series, int64_t item, int64_t step);
/** Timestamp of a step, which may be before or after those of the file: "2016-07-01 00:00:00", with
 * "+02:00" where the file says so; the date alone where no line has a time of day. */
QN_API const char *qn_series_time(const qn_series *series, int64_t step, char out[32]);

/** Calendar features of a step: sine and cosine of its place in each cycle that the frequency tells
 * apart: minute of the hour, hour of the day, day of the week, day of the year. Count, and values
 * in -1 .. 1. */
enum { QN_SERIES_FEATURES = 8 };
QN_API int qn_series_features(const qn_series *series, int64_t step, float out[QN_SERIES_FEATURES]);

/** Mean and standard deviation (of the population) of each item over the values observed in
 * start <= step < end: arrays of `items` numbers. Where the deviation is 0 or nothing was observed,
 * 1 stands in its place, so that standardising leaves a constant at 0. */
QN_API qn_status qn_series_scale(const qn_series *series, int64_t start, int64_t end, double *mean,
                                 double *std);

/* ---- windows ------------------------------------------------------------------------------- */

/** What the samples of a windows dataset are. */
typedef enum qn_windows_kind {
    /** All items side by side: x f32 [look_back, items], y f32 [horizon, items]. */
    QN_WINDOWS_JOINT,
    /** One item a sample: x f32 [look_back, 1], y f32 [horizon, 1]. */
    QN_WINDOWS_SINGLE,
    /** One item a sample, for models that predict step after step (DeepAR, Salinas et al. 2020),
     * with T = look_back + horizon: x f32 [T, QN_WINDOW_INPUTS + features]: the item's number, the
     * logarithm of the window's scale, the value one step and one season before, and the calendar
     * features; y f32 [T, 1], the values. Values are divided by the scale: the mean absolute value
     * observed in the look-back, but at least a quarter of that of all the item's past (1 where
     * both are 0); mean and std are not used. Unknown earlier values are 0. */
    QN_WINDOWS_RECURSIVE
} qn_windows_kind;

/** Columns of a recursive window before the calendar's. */
enum { QN_WINDOW_ITEM, QN_WINDOW_LOG_SCALE, QN_WINDOW_LAST, QN_WINDOW_SEASON, QN_WINDOW_INPUTS };

typedef struct qn_windows_opts {
    const char *name; /**< for messages and reports; default "windows" */
    qn_windows_kind kind;
    int64_t look_back, horizon;
    int64_t start, end; /**< windows lie within these steps; end 0 means the last */
    int64_t stride;     /**< steps between windows, counted back from the last one; default 1 */
    /** NULL, or arrays of `items` numbers, which are copied: values become (value - mean) / std. */
    const double *mean, *std;
    bool future; /**< the one window an item that ends with the item: y is not known */
} qn_windows_opts;

/** Windows over a series, which stays as long: a dataset for qn_fit(), samples in order of
 * item, then of time. Values not observed are filled in x and NaN in y (see qn_observed_mse()). An
 * item that is too short for a whole look-back gives one window: the first value is repeated before
 * its start. */
QN_API qn_dataset *qn_windows(qn_series *series, const qn_windows_opts *opts);

/** Where a sample lies. */
typedef struct qn_window {
    int64_t item; /**< 0 for a joint window */
    int64_t step; /**< the first step that is forecast */
} qn_window;
QN_API qn_window qn_windows_at(const qn_dataset *windows, int64_t index);

/** Mean of (p - t)^2 over the elements whose target t is not NaN; 0 where all are. */
QN_API qn_tensor *qn_observed_mse(qn_tensor *prediction, qn_tensor *target);

/* ---- how good a forecast is ---------------------------------------------------------------- */

/** The forecast that repeats the last season: out[h] = value(step + h - k season), with the
 * smallest k that looks back before `step`. An item that has less than a season before `step`
 * repeats its last value. */
QN_API qn_status qn_seasonal_naive(const qn_series *series, int64_t item, int64_t step,
                                   int64_t horizon, double *out);
/** Mean |value(t) - value(t - season)| over start <= t < end, which MASE divides by; NaN where no
 * pair is observed. */
QN_API double qn_seasonal_error(const qn_series *series, int64_t item, int64_t start, int64_t end);

/** Most quantiles of a forecast. */
enum { QN_MAX_QUANTILES = 16 };

/** Sums over the windows of a back-test; starts as {.levels = {0.1, 0.5, 0.9}, .count = 3}. */
typedef struct qn_forecast_score {
    double levels[QN_MAX_QUANTILES]; /**< the quantiles that are forecast, each in 0 .. 1 */
    int count;
    double pinball[QN_MAX_QUANTILES]; /**< what follows is filled by qn_forecast_score_add() */
    double absolute, squared, size, percentage, scaled;
    int64_t values, percentages, windows;
} qn_forecast_score;

/** Adds one window of one item: what came (NaN: not observed, left out), the mean forecast, the
 * quantiles [horizon][count], and qn_seasonal_error() of the item's past. */
QN_API void qn_forecast_score_add(qn_forecast_score *score, int64_t horizon, const double *actual,
                                  const double *mean, const double *quantiles,
                                  double seasonal_error);

/** Measures of a back-test, as Amazon Forecast defines them
 * (https://docs.aws.amazon.com/forecast/latest/dg/metrics.html), with y what came, f the mean
 * forecast and q the quantile at level p, sums over all items and steps that were observed:
 *     wql  = 2 sum max(p (y - q), (p - 1) (y - q)) / sum |y|, and the mean over the levels
 *     wape = sum |y - f| / sum |y|
 *     rmse = sqrt(mean (y - f)^2)
 *     mase = mean over windows of mean |y - f| / seasonal error; windows without one are left out
 *     mape = mean |y - f| / |y|; steps with y = 0 are left out
 * NaN where there is nothing to divide by. */
typedef struct qn_forecast_metrics {
    double wql[QN_MAX_QUANTILES], mean_wql;
    double wape, rmse, mase, mape;
} qn_forecast_metrics;
QN_API qn_forecast_metrics qn_forecast_score_metrics(const qn_forecast_score *score);

#ifdef __cplusplus
}
#endif

#endif
