/* forecast_model.c: how each network is trained; models with scaler, items and quantiles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "forecasting.h"

/** Limits of what a model's file may say. */
#define MOST_STEPS 100000
#define MOST_ITEMS 10000000

/** Names of the buffers that travel in a model's file. */
#define MEAN "scaler_mean"
#define STD "scaler_std"
#define NAMES "item_names"
#define OFFSETS "quantile_offsets"

const char *const forecast_models[] = {"nlinear",  "dlinear", "lstm", "tcn",
                                       "patchtst", "deepar",  NULL};

static const char *const layouts[] = {[QN_WINDOWS_JOINT] = "joint",
                                      [QN_WINDOWS_SINGLE] = "single",
                                      [QN_WINDOWS_RECURSIVE] = "recursive"};
enum { LAYOUTS = sizeof(layouts) / sizeof(*layouts) };

/** The rate halves each epoch (LTSF-Linear's "type1"). */
static qn_schedule halved(void) { return qn_schedule_step(1, 0.5); }

/** It falls by a tenth from the fourth epoch on ("type3"). */
static qn_schedule tenths(void) {
    qn_schedule schedule = qn_schedule_step(1, 0.9);
    schedule.delay = 3;
    return schedule;
}

static qn_schedule plateau(void) { return qn_schedule_plateau(0.5, 2); }

static const forecast_recipe recipes[] = {
    {"nlinear", 10, 3, 32, 5e-3, halved, 0},   {"dlinear", 10, 3, 32, 5e-3, halved, 0},
    {"lstm", 10, 3, 32, 1e-3, halved, 0},      {"tcn", 10, 3, 32, 1e-3, halved, 0},
    {"patchtst", 20, 5, 128, 1e-4, tenths, 0}, {"deepar", 20, 5, 64, 2e-3, plateau, 10},
};

forecast_recipe forecast_recipe_of(const example_options *options, const char *model) {
    const forecast_recipe *found = recipes;
    while (strcmp(found->model, model) != 0)
        found++;
    forecast_recipe r = *found;
    if (options->epochs)
        r.epochs = options->epochs;
    if (options->batch_size)
        r.batch_size = options->batch_size;
    if (options->lr > 0)
        r.lr = options->lr;
    return r;
}

/* ---- sizes --------------------------------------------------------------------------------- */

/** Horizon and look-back where the options name none: a day ahead of hours from a week, two weeks
 * of days from eight, a year of months from two; always so that the training part has windows. */
static void default_sizes(const example_options *options, const forecast_set *set,
                          forecast_sizes *out) {
    const int64_t season = set->facts.season, train = set->train_end;
    int64_t horizon = season == 7 ? 14 : season < 4 ? 4 : season;
    if (season == 52)
        horizon = 13;
    horizon = horizon > 96 ? 96 : horizon;
    int64_t look_back = season == 24 ? 168 : season == 7 ? 56 : season > 96 ? 336 : 2 * season;
    look_back = look_back < 2 * horizon ? 2 * horizon : look_back;
    out->horizon = (int64_t)options->number[FORECAST_HORIZON];
    out->look_back = (int64_t)options->number[FORECAST_LOOK_BACK];
    if (out->horizon == 0)
        out->horizon = horizon > train / 6 && train >= 6 ? train / 6 : horizon;
    if (out->look_back == 0) {
        const int64_t most = (train - out->horizon) / 2;
        out->look_back = look_back > most && most > 0 ? most : look_back;
    }
}

/** Reads the quantiles that the options name, "0.1,0.5,0.9". */
static int read_levels(const char *text, forecast_model *out) {
    double last = 0;
    out->level_count = 0;
    for (const char *at = text; *at;) {
        char *end;
        const double level = strtod(at, &end);
        if (end == at || strpbrk(text, "xX") || !(level > last && level < 1) ||
            (*end && *end != ',') || out->level_count == QN_MAX_QUANTILES)
            return example_error("--quantiles takes up to %d rising numbers between 0 and 1, such "
                                 "as 0.1,0.5,0.9, not '%s'",
                                 QN_MAX_QUANTILES, text);
        out->levels[out->level_count++] = last = level;
        at = *end ? end + 1 : end;
    }
    return EXAMPLE_OK;
}

/* ---- making -------------------------------------------------------------------------------- */

/** Makes the network with its buffers, whose values come later; `names` is the size of the items'
 * names. */
static int make(qn_context *ctx, size_t names, forecast_model *m) {
    forecast_sizes *s = &m->sizes;
    const bool point = m->kind != QN_WINDOWS_RECURSIVE;
    s->channels = m->kind == QN_WINDOWS_JOINT ? m->items : 1;
    s->items = m->items;
    const size_t offsets = (size_t)(s->horizon * s->channels * m->level_count);
    m->mean = calloc((size_t)m->items, sizeof(*m->mean));
    m->std = calloc((size_t)m->items, sizeof(*m->std));
    m->offsets = calloc(offsets, sizeof(*m->offsets));
    if (!m->mean || !m->std || !m->offsets) {
        example_error("out of memory for %lld items", (long long)m->items);
        return EXAMPLE_FAILED;
    }
    m->net = forecast_network(ctx, m->name, s);
    qn_module_add_buffer(m->net, MEAN, qn_zeros(ctx, QN_F64, QN_SHAPE(m->items)));
    qn_module_add_buffer(m->net, STD, qn_zeros(ctx, QN_F64, QN_SHAPE(m->items)));
    qn_module_add_buffer(m->net, NAMES, qn_zeros(ctx, QN_U8, QN_SHAPE((int64_t)names)));
    if (point)
        m->offset_buffer = qn_module_add_buffer(
            m->net, OFFSETS,
            qn_zeros(ctx, QN_F32, QN_SHAPE(s->horizon, s->channels, m->level_count)));
    return example_status(ctx);
}

/** The items' names, each with its zero; to be freed. */
static char *join_names(const qn_series *series, size_t *size) {
    *size = 0;
    for (int64_t i = 0; qn_series_name(series, i); i++)
        *size += strlen(qn_series_name(series, i)) + 1;
    char *names = malloc(*size), *next = names;
    for (int64_t i = 0; names && qn_series_name(series, i); i++)
        next = stpcpy(next, qn_series_name(series, i)) + 1;
    return names;
}

/** Loads a file into the network, scaler and offsets included. */
static void load(const char *path, forecast_model *m) {
    const size_t bytes = (size_t)m->items * sizeof(double);
    qn_load(m->net, path);
    qn_tensor_read(qn_module_find(m->net, MEAN), m->mean, bytes);
    qn_tensor_read(qn_module_find(m->net, STD), m->std, bytes);
    if (m->offset_buffer)
        qn_tensor_read(m->offset_buffer, m->offsets,
                       (size_t)qn_tensor_count(m->offset_buffer) * sizeof(*m->offsets));
}

/** Writes scaler and names into the new model's buffers. */
static void fill_buffers(const forecast_set *set, const char *names, size_t size,
                         forecast_model *m) {
    const size_t bytes = (size_t)m->items * sizeof(double);
    qn_series_scale(set->series, 0, set->train_end, m->mean, m->std);
    qn_tensor_write(qn_module_find(m->net, MEAN), m->mean, bytes);
    qn_tensor_write(qn_module_find(m->net, STD), m->std, bytes);
    qn_tensor_write(qn_module_find(m->net, NAMES), names, size);
}

int forecast_model_new(const example_options *options, const forecast_set *set,
                       forecast_model *out) {
    qn_context *ctx = qn_series_context(set->series);
    float row[QN_SERIES_FEATURES];
    const char *levels = options->own[FORECAST_QUANTILES];
    size_t size;
    *out = (forecast_model){.name = options->model, .items = set->facts.items};
    int code = read_levels(levels ? levels : "0.1,0.5,0.9", out);
    if (code != EXAMPLE_OK)
        return code;
    out->kind = strcmp(out->name, "deepar") == 0       ? QN_WINDOWS_RECURSIVE
                : set->facts.format == QN_SERIES_ITEMS ? QN_WINDOWS_SINGLE
                                                       : QN_WINDOWS_JOINT;
    default_sizes(options, set, &out->sizes);
    out->sizes.inputs = QN_WINDOW_INPUTS + qn_series_features(set->series, 0, row);
    /* The last two tell the time of the year: of less than two years they tell the date. */
    const bool years = (double)set->train_end >= 2 * set->facts.year;
    out->sizes.used =
        out->sizes.inputs > QN_WINDOW_INPUTS && !years ? out->sizes.inputs - 2 : out->sizes.inputs;
    snprintf(out->frequency, sizeof(out->frequency), "%s", set->facts.frequency);
    char *names = join_names(set->series, &size);
    if (!names) {
        example_error("out of memory for the names of %lld items", (long long)out->items);
        return EXAMPLE_FAILED;
    }
    code = make(ctx, size, out);
    if (code == EXAMPLE_OK) {
        fill_buffers(set, names, size, out);
        if (options->load)
            load(options->load, out);
        code = example_status(ctx);
    }
    free(names);
    return code;
}

void forecast_model_free(forecast_model *model) {
    free(model->mean);
    free(model->std);
    free(model->offsets);
}

void forecast_model_settings(const forecast_model *model, forecast_settings *out) {
    snprintf(out->look_back, sizeof(out->look_back), "%lld", (long long)model->sizes.look_back);
    snprintf(out->horizon, sizeof(out->horizon), "%lld", (long long)model->sizes.horizon);
    snprintf(out->items, sizeof(out->items), "%lld", (long long)model->items);
    out->levels[0] = '\0';
    for (int i = 0; i < model->level_count; i++) {
        const size_t length = strlen(out->levels);
        char level[32];
        snprintf(out->levels + length, sizeof(out->levels) - length, "%s%s", i ? "," : "",
                 example_number_text(model->levels[i], level));
    }
    const qn_metadata list[FORECAST_SETTINGS] = {
        {"model", model->name},           {"look_back", out->look_back},
        {"horizon", out->horizon},        {"items", out->items},
        {"layout", layouts[model->kind]}, {"quantiles", out->levels},
        {"frequency", model->frequency}};
    memcpy(out->list, list, sizeof(list));
}

/* ---- saved models -------------------------------------------------------------------------- */

/** A whole number from 1 to `most` in a model's metadata; 0 where there is none. */
static int64_t metadata_number(const qn_tensor_file *file, const char *key, long most) {
    const char *text = qn_tensor_file_metadata(file, key);
    char *end;
    long value = text ? strtol(text, &end, 10) : 0;
    return text && *text && *end == '\0' && value >= 1 && value <= most ? value : 0;
}

/** Extent 0 of a named entry, -1 where there is none. */
static int64_t extent_of(const qn_tensor_file *file, const char *name) {
    for (int i = 0; i < qn_tensor_file_count(file); i++) {
        const qn_tensor_entry entry = qn_tensor_file_entry(file, i);
        if (strcmp(entry.name, name) == 0 && entry.shape.rank > 0)
            return entry.shape.dim[0];
    }
    return -1;
}

/** Reads what the file says of its model; false where that is not whole. */
static bool read_settings(const qn_tensor_file *file, forecast_model *m) {
    const char *name = qn_tensor_file_metadata(file, "model");
    const char *layout = qn_tensor_file_metadata(file, "layout");
    const char *levels = qn_tensor_file_metadata(file, "quantiles");
    const char *frequency = qn_tensor_file_metadata(file, "frequency");
    m->sizes.look_back = metadata_number(file, "look_back", MOST_STEPS);
    m->sizes.horizon = metadata_number(file, "horizon", MOST_STEPS);
    m->items = metadata_number(file, "items", MOST_ITEMS);
    for (const char *const *known = forecast_models; *known; known++)
        if (name && strcmp(*known, name) == 0)
            m->name = *known;
    int kind = 0;
    while (kind < LAYOUTS && layout && strcmp(layouts[kind], layout) != 0)
        kind++;
    m->kind = (qn_windows_kind)kind;
    snprintf(m->frequency, sizeof(m->frequency), "%s", frequency ? frequency : "");
    return m->name && layout && kind < LAYOUTS && frequency && levels && *levels && m->items &&
           m->sizes.look_back && m->sizes.horizon && read_levels(levels, m) == EXAMPLE_OK &&
           (kind == QN_WINDOWS_RECURSIVE) == (strcmp(m->name, "deepar") == 0);
}

/** Columns that a saved "deepar" looks at: its LSTM's, less the item's embedding. */
static int64_t used_of(const qn_tensor_file *file) {
    int64_t width = 0, all = 0;
    for (int i = 0; i < qn_tensor_file_count(file); i++) {
        const qn_tensor_entry entry = qn_tensor_file_entry(file, i);
        if (entry.shape.rank == 2 && strcmp(entry.name, "items.weight") == 0)
            width = entry.shape.dim[1];
        if (entry.shape.rank == 2 && strcmp(entry.name, "lstm.weight_ih_l0") == 0)
            all = entry.shape.dim[1];
    }
    const int64_t used = all - width + QN_WINDOW_LOG_SCALE;
    const bool fits = used >= QN_WINDOW_INPUTS && used <= QN_WINDOW_INPUTS + QN_SERIES_FEATURES;
    return fits ? used : QN_WINDOW_INPUTS;
}

int forecast_model_load(qn_context *ctx, const char *path, forecast_model *out) {
    *out = (forecast_model){0};
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    if (!file)
        return example_status(ctx);
    const int64_t names = extent_of(file, NAMES);
    const bool whole = read_settings(file, out) && names > 0;
    out->sizes.used = used_of(file);
    qn_tensor_file_free(file);
    if (!whole)
        return example_error("'%s' was not saved by 'forecasting train'", path);
    int code = make(ctx, (size_t)names, out);
    if (code != EXAMPLE_OK)
        return code;
    load(path, out);
    return example_status(ctx);
}

/** Puts the set's items into the model's order; others, or others' names, are an error. */
static int arrange_items(const forecast_model *model, const forecast_set *set) {
    const qn_tensor *buffer = qn_module_find(model->net, NAMES);
    const size_t size = (size_t)qn_tensor_count(buffer);
    char *made = malloc(size + 1);
    const char **names = calloc((size_t)model->items, sizeof(*names));
    int64_t count = 0;
    if (!made || !names || qn_tensor_read(buffer, made, size) != QN_OK) {
        free(made);
        free(names);
        example_error("out of memory for the names of %lld items", (long long)model->items);
        return EXAMPLE_FAILED;
    }
    made[size] = '\0';
    for (const char *name = made; name < made + size && count < model->items;
         name += strlen(name) + 1)
        names[count++] = name;
    const qn_status status = qn_series_arrange(set->series, names, count);
    free(made);
    free(names);
    if (status == QN_INVALID_ARGUMENT)
        return example_error("%s does not have the items that the model was trained on: %s",
                             set->name, qn_context_message(qn_series_context(set->series)));
    return example_status(qn_series_context(set->series));
}

int forecast_model_check(forecast_model *model, const forecast_set *set) {
    float row[QN_SERIES_FEATURES];
    model->sizes.inputs = QN_WINDOW_INPUTS + qn_series_features(set->series, 0, row);
    if (strcmp(model->frequency, set->facts.frequency) != 0)
        return example_error("%s: steps of %s do not fit a model for steps of %s", set->name,
                             set->facts.frequency, model->frequency);
    return arrange_items(model, set);
}
