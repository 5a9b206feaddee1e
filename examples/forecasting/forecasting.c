/* forecasting.c: trains networks that forecast time series, tells how good
 * they are, and uses them. */
#include "forecasting.h"

/** Windows of "deepar" in an epoch: neighbours are nearly the same. */
#define RECURSIVE_WINDOWS 12000

/** What the end of a training needs to measure the model. */
typedef struct finish {
    const example_options *options;
    forecast_model *model;
    const forecast_set *set;
    forecast_measures measures;
} finish;

/* ---- train --------------------------------------------------------------------------------- */

/** Sets the quantiles of the best model, and adds its measures to log and report. */
static qn_status measure(qn_report *report, void *data) {
    finish *f = data;
    qn_context *ctx = qn_series_context(f->set->series);
    qn_status status = forecast_calibrate(f->model, f->set);
    if (status == QN_OK)
        status = forecast_measure(f->options, f->model, f->set, &f->measures);
    if (status != QN_OK)
        return status;
    forecast_measures_report(&f->measures, f->model, f->set, report);
    return qn_context_error(ctx, NULL);
}

static qn_fit_opts fit_opts(const forecast_model *model, const forecast_recipe *recipe,
                            const forecast_set *set) {
    qn_fit_opts opts = {.optimizer = qn_adam(recipe->lr),
                        .schedule = recipe->schedule(),
                        .loss = model->kind == QN_WINDOWS_RECURSIVE ? deepar_loss
                                : set->facts.missing                ? qn_observed_mse
                                                                    : qn_mse,
                        .epochs = recipe->epochs,
                        .batch_size = recipe->batch_size,
                        .early_stop = recipe->patience,
                        .restore_best = true};
    opts.optimizer.clip_norm = recipe->clip_norm;
    return opts;
}

/** Trains a new model on the training part, with the validation part to choose the epoch by. */
static int fit(const example_options *options, const forecast_set *set, forecast_model *model) {
    const forecast_recipe recipe = forecast_recipe_of(options, model->name);
    const int64_t most = model->kind == QN_WINDOWS_RECURSIVE ? RECURSIVE_WINDOWS : 0;
    char title[320];
    forecast_settings settings;
    finish f = {.options = options, .model = model, .set = set};
    snprintf(title, sizeof(title), "%.200s, %s, %lld steps ahead", set->name, model->name,
             (long long)model->sizes.horizon);
    forecast_model_settings(model, &settings);
    qn_dataset *train = forecast_dataset(model, set, 0, set->train_end, most);
    qn_fit_opts opts = fit_opts(model, &recipe, set);
    opts.validation = forecast_dataset(model, set, set->train_end, set->validation_end, most / 4);
    qn_dataset *test = forecast_dataset(model, set, set->validation_end, set->end, most / 4);
    opts.title = title;
    opts.settings = settings.list;
    opts.settings_count = FORECAST_SETTINGS;
    opts.finish = measure;
    opts.finish_data = &f;
    int code = example_status(qn_series_context(set->series));
    if (code == EXAMPLE_OK)
        code = example_fit(options, model->net, train, test, opts);
    if (code == EXAMPLE_OK)
        forecast_measures_print(&f.measures, model, false);
    forecast_measures_free(&f.measures);
    return code;
}

static int train_model(const example_options *options, qn_context *ctx) {
    forecast_set set;
    forecast_model model = {0};
    int code = forecast_set_open(options, ctx, options->data, &set);
    if (code != EXAMPLE_OK)
        return code;
    code = forecast_model_new(options, &set, &model);
    if (code == EXAMPLE_OK)
        code = fit(options, &set, &model);
    forecast_model_free(&model);
    return code;
}

/* ---- evaluate ------------------------------------------------------------------------------ */

static int evaluate_model(const example_options *options, qn_context *ctx) {
    forecast_set set;
    forecast_model model;
    forecast_measures measures = {0};
    int code =
        forecast_model_load(ctx, options->load ? options->load : FORECAST_DEFAULT_MODEL, &model);
    if (code == EXAMPLE_OK)
        code = forecast_set_open(options, ctx, options->data, &set);
    if (code == EXAMPLE_OK)
        code = forecast_model_check(&model, &set);
    if (code == EXAMPLE_OK && forecast_measure(options, &model, &set, &measures) != QN_OK)
        code = example_status(ctx);
    if (code == EXAMPLE_OK)
        forecast_measures_print(&measures, &model, options->json);
    forecast_measures_free(&measures);
    forecast_model_free(&model);
    return code;
}

/* ---- the program --------------------------------------------------------------------------- */

#define TRAIN EXAMPLE_TRAIN
#define EVALUATE EXAMPLE_EVALUATE
#define PREDICT EXAMPLE_PREDICT

int main(int argc, char **argv) {
    const example_program program = {
        .name = "forecasting",
        .summary =
            "Trains networks that forecast time series, tells how good they are, and uses them."
            "\vModels: nlinear (the default; the quickest) and dlinear (Zeng et al. 2023), lstm, "
            "tcn "
            "(Bai et al. 2018), patchtst (Nie et al. 2023), deepar (Salinas et al. 2020; draws "
            "paths). --data is a CSV file: wide, with a date column and a column an item, or "
            "lines of item_id, timestamp and target_value. Predict writes quantiles of the steps "
            "after its end, of FILE, of standard input (FILE is -, or something is piped), or of "
            "the "
            "program's own data.",
        .inputs = "[FILE]",
        .may_lack_inputs = true,
        .models = forecast_models,
        .own = {[FORECAST_LOOK_BACK] = {"look-back", "N", "steps that a forecast sees", TRAIN},
                [FORECAST_HORIZON] = {"horizon", "N", "steps to forecast", TRAIN},
                [FORECAST_NO_FORMULAS] = {"no-formulas", NULL,
                                          "an apostrophe before names that begin with = + - @",
                                          EXAMPLE_PREDICT},
                [FORECAST_DROP_LAST] = {"drop-last", NULL, "test without a last, smaller batch",
                                        TRAIN | EVALUATE},
                [FORECAST_QUANTILES] = {"quantiles", "LIST", "default 0.1,0.5,0.9", TRAIN},
                [FORECAST_SAMPLES] = {"samples", "N", "paths that deepar draws",
                                      TRAIN | EVALUATE | PREDICT},
                [FORECAST_FORMAT] = {"format", "NAME", "wide or items (default: seen)",
                                     TRAIN | EVALUATE | PREDICT},
                [FORECAST_FILL] = {"fill", "NAME", "missing values: forward, linear or zero",
                                   TRAIN | EVALUATE | PREDICT},
                [FORECAST_FREQUENCY] = {"frequency", "NAME",
                                        "such as H, 15min, D, M (default: seen)",
                                        TRAIN | EVALUATE | PREDICT},
                [FORECAST_SPLIT] = {"split", "NAME", "ett: 12, 4, 4 months; ratio: 70, 10, 20 %",
                                    TRAIN | EVALUATE},
                [FORECAST_OUTPUT] = {"output", "FILE", "where the forecasts go", PREDICT}},
        .rules = {[FORECAST_LOOK_BACK] = {EXAMPLE_INTEGER, 1, 100000, NULL},
                  [FORECAST_HORIZON] = {EXAMPLE_INTEGER, 1, 100000, NULL},
                  [FORECAST_SAMPLES] = {EXAMPLE_INTEGER, 1, 100000, NULL},
                  [FORECAST_FORMAT] = {EXAMPLE_CHOICE, 0, 0, forecast_formats},
                  [FORECAST_FILL] = {EXAMPLE_CHOICE, 0, 0, forecast_fills},
                  [FORECAST_SPLIT] = {EXAMPLE_CHOICE, 0, 0, forecast_splits}},
        .train = train_model,
        .evaluate = evaluate_model,
        .predict = forecast_predict};
    return example_main(&program, argc, argv);
}
