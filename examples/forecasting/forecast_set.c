/* forecast_set.c: time series from a file, and what of them is for
 * training, validation and test. */
#include <string.h>
#include <unistd.h>

#include "forecasting.h"

const char *const forecast_formats[] = {"auto", "wide", "items", NULL};
const char *const forecast_fills[] = {"forward", "linear", "zero", NULL};
const char *const forecast_splits[] = {"auto", "ett", "ratio", NULL};

/** Position of a text in a list; 0 where it is NULL. */
static int position(const char *const *list, const char *text) {
    int i = 0;
    while (text && list[i] && strcmp(list[i], text) != 0)
        i++;
    return i;
}

/** Steps of a month of 30 days; 0 where steps are too long or of odd length. */
static int64_t month_of(const qn_series_facts *facts) {
    static const struct {
        const char *frequency;
        int64_t steps;
    } known[] = {{"H", 30 * 24}, {"30min", 30 * 48}, {"15min", 30 * 96}, {"D", 30}};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(known[i].frequency, facts->frequency) == 0)
            return known[i].steps;
    return 0;
}

/** The parts: 12, 4 and 4 months for ETT sets, as the field has it (Zhou et al. 2021); else 70, 10
 * and 20 %. */
static int split(const example_options *options, forecast_set *set) {
    const int rule = position(forecast_splits, options->own[FORECAST_SPLIT]);
    const int64_t month = month_of(&set->facts), steps = set->facts.steps;
    const bool named = strncmp(set->name, "ETT", 3) == 0 && month > 30;
    if (rule == 1 && (month == 0 || steps < 20 * month))
        return example_error("%s: --split ett needs 20 months of days or parts of them", set->name);
    if (rule == 1 || (rule == 0 && named && steps >= 20 * month)) {
        set->train_end = 12 * month;
        set->validation_end = 16 * month;
        set->end = 20 * month;
    } else {
        set->train_end = steps * 7 / 10;
        set->validation_end = steps - steps / 5;
        set->end = steps;
    }
    return EXAMPLE_OK;
}

static void tell(const example_options *options, const forecast_set *set) {
    example_notes(qn_series_notes(set->series));
    if (options->quiet)
        return;
    const qn_series_facts *f = &set->facts;
    char first[32], last[32];
    fprintf(stderr, "%s: %lld item%s, %lld steps (every %s from %s to %s)", set->name,
            (long long)f->items, f->items == 1 ? "" : "s", (long long)f->steps, f->every,
            qn_series_time(set->series, 0, first), qn_series_time(set->series, f->steps - 1, last));
    if (f->missing)
        fprintf(stderr, ", %lld missing values filled in", (long long)f->missing);
    for (int i = 0; qn_series_dropped(set->series, i); i++)
        fprintf(stderr, "%s%s", i ? ", " : "; without ", qn_series_dropped(set->series, i));
    fputc('\n', stderr);
}

/** The file that the options name, also from the folder "forecast" of $QUERN_DATA_DIR; without a
 * name the weather. */
static void find_file(const example_options *options, const char *path, forecast_set *out) {
    char other[4096], found[sizeof(out->path)];
    if (!path) {
        example_data_folder(options, other, sizeof(other));
        snprintf(out->path, sizeof(out->path), "%s/seattle-weather.csv", other);
        return;
    }
    example_data_path(path, out->path, sizeof(out->path));
    snprintf(other, sizeof(other), "forecast/%s", path);
    example_data_path(other, found, sizeof(found));
    if (access(out->path, R_OK) != 0 && access(found, R_OK) == 0)
        snprintf(out->path, sizeof(out->path), "%s", found);
}

int forecast_set_open(const example_options *options, qn_context *ctx, const char *path,
                      forecast_set *out) {
    find_file(options, path, out);
    const qn_series_opts opts = {
        .format = (qn_series_format)position(forecast_formats, options->own[FORECAST_FORMAT]),
        .fill = (qn_series_fill)position(forecast_fills, options->own[FORECAST_FILL]),
        .frequency = options->own[FORECAST_FREQUENCY]};
    const char *slash = strrchr(out->path, '/');
    out->name = strcmp(out->path, "-") == 0 ? "standard input" : slash ? slash + 1 : out->path;
    out->series = qn_series_open(ctx, out->path, &opts);
    if (!out->series)
        return example_status(ctx);
    out->facts = qn_series_info(out->series);
    tell(options, out);
    return split(options, out);
}
