/* forecast_report.c: measures as text, as JSON, and in log and report. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "forecasting.h"

/** Steps before the forecast that a chart shows, in horizons. */
#define PAST 2

/** A measure of the back-test by its row in the tables. */
static double measure_of(const qn_forecast_metrics *m, int levels, int row) {
    const double rest[] = {m->mean_wql, m->wape, m->rmse, m->mase, m->mape};
    return row < levels ? m->wql[row] : rest[row - levels];
}

enum { REST = 5 };

static const char *name_of(const forecast_model *model, int row, char out[48]) {
    static const char *const rest[REST] = {"mean wQL", "WAPE", "RMSE", "MASE", "MAPE"};
    if (row < model->level_count)
        snprintf(out, 48, "wQL P%.10g", 100 * model->levels[row]);
    else
        snprintf(out, 48, "%s", rest[row - model->level_count]);
    return out;
}

/* ---- standard output ----------------------------------------------------------------------- */

static void print_json_measures(const char *name, const qn_forecast_metrics *m,
                                const forecast_model *model) {
    printf(", \"%s\": {\"quantiles\": [", name);
    for (int i = 0; i < model->level_count; i++) {
        fputs(i ? ", " : "", stdout);
        example_json_number(stdout, model->levels[i]);
    }
    fputs("], \"wql\": [", stdout);
    for (int i = 0; i < model->level_count; i++) {
        fputs(i ? ", " : "", stdout);
        example_json_number(stdout, m->wql[i]);
    }
    putchar(']');
    example_json_member(stdout, "mean_wql", m->mean_wql);
    example_json_member(stdout, "wape", m->wape);
    example_json_member(stdout, "rmse", m->rmse);
    example_json_member(stdout, "mase", m->mase);
    example_json_member(stdout, "mape", m->mape);
    putchar('}');
}

void forecast_measures_print(const forecast_measures *measures, const forecast_model *model,
                             bool json) {
    if (json) {
        printf("{\"event\": \"evaluate\"");
        example_json_member(stdout, "test_mse", measures->mse);
        example_json_member(stdout, "test_mae", measures->mae);
        print_json_measures("backtest", &measures->model, model);
        print_json_measures("seasonal_naive", &measures->naive, model);
        puts("}");
        return;
    }
    char own[32], other[32];
    printf("test MSE %s, MAE %s (standardised, every window)\n",
           example_measure_text(measures->mse, own), example_measure_text(measures->mae, other));
    printf("%-12s %12s %16s\n", "back-test", model->name, "seasonal naive");
    for (int row = 0; row < model->level_count + REST; row++) {
        char name[48];
        const double ours = measure_of(&measures->model, model->level_count, row);
        const double naive = measure_of(&measures->naive, model->level_count, row);
        printf("%-12s %12s %16s\n", name_of(model, row, name), example_measure_text(ours, own),
               example_measure_text(naive, other));
    }
}

/* ---- report -------------------------------------------------------------------------------- */

static int by_score(const void *a, const void *b) {
    const forecast_kept *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->item != y->item ? (x->item < y->item ? -1 : 1) : x->step < y->step ? -1 : 1;
}

/** The lines of one chart: points of the past and of the forecast. */
typedef struct chart_values {
    double *actual, *forecast, *low, *high;
    const char **points;
    char (*times)[32];
    int count;
} chart_values;

static bool chart_reserve(chart_values *v, int count) {
    const size_t n = (size_t)count;
    v->count = count;
    v->actual = malloc(n * sizeof(*v->actual));
    v->forecast = malloc(n * sizeof(*v->forecast));
    v->low = malloc(n * sizeof(*v->low));
    v->high = malloc(n * sizeof(*v->high));
    v->points = malloc(n * sizeof(*v->points));
    v->times = malloc(n * sizeof(*v->times));
    return v->actual && v->forecast && v->low && v->high && v->points && v->times;
}

static void chart_free(chart_values *v) {
    free(v->actual);
    free(v->forecast);
    free(v->low);
    free(v->high);
    free(v->points);
    free(v->times);
}

/** Fills the lines around a forecast. */
static void chart_fill(const forecast_model *model, const forecast_set *set,
                       const forecast_kept *kept, chart_values *v) {
    const int levels = model->level_count;
    const int64_t past = v->count - model->sizes.horizon;
    for (int i = 0; i < v->count; i++) {
        const int64_t h = i - past, t = kept->step + h;
        const float *row = kept->values + (h > 0 ? h : 0) * (1 + levels);
        const bool known = qn_series_observed(set->series, kept->item, t);
        v->actual[i] = known ? qn_series_value(set->series, kept->item, t) : NAN;
        v->forecast[i] = h < 0 ? NAN : (double)row[1 + levels / 2];
        v->low[i] = h < 0 ? NAN : (double)row[1];
        v->high[i] = h < 0 ? NAN : (double)row[levels];
        v->points[i] = qn_series_time(set->series, t, v->times[i]);
    }
}

static void add_chart(const forecast_model *model, const forecast_set *set,
                      const forecast_kept *kept, const char *which, qn_report *report) {
    chart_values v = {0};
    char title[256], time[32], band[48], median[32];
    int64_t past = PAST * model->sizes.horizon;
    if (past > kept->step - qn_series_start(set->series, kept->item))
        past = kept->step - qn_series_start(set->series, kept->item);
    if (chart_reserve(&v, (int)(past + model->sizes.horizon))) {
        chart_fill(model, set, kept, &v);
        snprintf(title, sizeof(title), "%s: %.150s from %s", which,
                 qn_series_name(set->series, kept->item),
                 qn_series_time(set->series, kept->step, time));
        snprintf(median, sizeof(median), "P%.10g", 100 * model->levels[model->level_count / 2]);
        snprintf(band, sizeof(band), "P%.10g to P%.10g", 100 * model->levels[0],
                 100 * model->levels[model->level_count - 1]);
        const qn_chart chart = {.title = title,
                                .count = v.count,
                                .points = v.points,
                                .lines = {{"actual", v.actual}, {median, v.forecast}},
                                .band = model->level_count > 1 ? band : NULL,
                                .low = v.low,
                                .high = v.high};
        qn_report_chart(report, &chart);
    }
    chart_free(&v);
}

static void add_table(const forecast_measures *measures, const forecast_model *model,
                      qn_report *report) {
    const char *const head[] = {"measure", model->name, "seasonal naive", "change %"};
    qn_report_table(report, 4, head);
    for (int row = 0; row < model->level_count + REST; row++) {
        const double own = measure_of(&measures->model, model->level_count, row);
        const double naive = measure_of(&measures->naive, model->level_count, row);
        char name[48], values[3][32];
        example_measure_text(own, values[0]);
        example_measure_text(naive, values[1]);
        const double change = 100 * (own / naive - 1);
        snprintf(values[2], sizeof(values[2]), isfinite(change) ? "%+.1f" : "-", change);
        const char *const cells[] = {name_of(model, row, name), values[0], values[1], values[2]};
        qn_report_row(report, 4, cells);
    }
}

void forecast_measures_report(const forecast_measures *measures, const forecast_model *model,
                              const forecast_set *set, qn_report *report) {
    qn_report_number(report, "test_mse", measures->mse);
    qn_report_number(report, "test_mae", measures->mae);
    qn_report_number(report, "mean_wql", measures->model.mean_wql);
    qn_report_number(report, "naive_mean_wql", measures->naive.mean_wql);
    qn_report_number(report, "wape", measures->model.wape);
    qn_report_number(report, "rmse", measures->model.rmse);
    qn_report_number(report, "mase", measures->model.mase);
    qn_report_number(report, "mape", measures->model.mape);
    qn_report_section(report, "Back-test");
    add_table(measures, model, report);
    if (measures->kept_count == 0)
        return;
    qsort(measures->kept, (size_t)measures->kept_count, sizeof(*measures->kept), by_score);
    qn_report_section(report, "Forecasts");
    add_chart(model, set, &measures->kept[0], "best", report);
    add_chart(model, set, &measures->kept[measures->kept_count / 2], "median", report);
    add_chart(model, set, &measures->kept[measures->kept_count - 1], "worst", report);
}
