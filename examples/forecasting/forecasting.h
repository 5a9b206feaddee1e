/* forecasting.h: between the files of this program. */
#ifndef FORECASTING_H
#define FORECASTING_H

#include "example.h"
#include "forecast_deepar.h"

#define FORECAST_DEFAULT_MODEL "forecasting.safetensors"

/** The program's own options. */
enum {
    FORECAST_LOOK_BACK,
    FORECAST_HORIZON,
    FORECAST_DROP_LAST,
    FORECAST_NO_FORMULAS,
    FORECAST_QUANTILES,
    FORECAST_SAMPLES,
    FORECAST_FORMAT,
    FORECAST_FILL,
    FORECAST_FREQUENCY,
    FORECAST_SPLIT,
    FORECAST_OUTPUT
};

extern const char *const forecast_models[]; /**< the default first; NULL at the end */
extern const char *const forecast_formats[];
extern const char *const forecast_fills[];
extern const char *const forecast_splits[];

/* ---- forecast_set.c: the data -------------------------------------------------------------- */

/** Time series and their parts: training from step 0, then validation, then test. */
typedef struct forecast_set {
    qn_series *series;
    qn_series_facts facts;
    const char *name; /**< of the file, without its folder */
    char path[4096];
    int64_t train_end, validation_end, end;
} forecast_set;

/** Reads the file that the options name, `path` where they name none. Says on stderr what was left
 * out or filled in, unless they ask for quiet. Returns the exit code. */
int forecast_set_open(const example_options *options, qn_context *ctx, const char *path,
                      forecast_set *out);

/* ---- forecast_model.c: networks with what they need around them ---------------------------- */

/** How a network is trained unless the options say otherwise: Adam. */
typedef struct forecast_recipe {
    const char *model;
    int epochs, patience;
    int64_t batch_size;
    double lr;
    qn_schedule (*schedule)(void);
    double clip_norm; /**< 0: none */
} forecast_recipe;

typedef struct forecast_model {
    const char *name;
    qn_module *net;
    forecast_sizes sizes;
    qn_windows_kind kind;
    int64_t items;
    double *mean, *std; /**< of each item in the training part */
    char frequency[24];
    double levels[QN_MAX_QUANTILES]; /**< of the quantiles, rising */
    int level_count;
    /** Point models: what to add to a standardised forecast for each quantile,
     * [horizon][channels][levels].
     */
    float *offsets;
    qn_tensor *offset_buffer; /**< the same, as it travels with the network */
} forecast_model;

/** The recipe of a model, with the options' changes. */
forecast_recipe forecast_recipe_of(const example_options *options, const char *model);
/** A new model for a set; --load gives it a file's parameters and scaler. Returns the exit code. */
int forecast_model_new(const example_options *options, const forecast_set *set,
                       forecast_model *out);
/** A model from a file that `forecasting train` saved. Returns the exit code. */
int forecast_model_load(qn_context *ctx, const char *path, forecast_model *out);
/** Makes a loaded model ready for a set, which must have the same items at the same frequency.
 * Returns the exit code. */
int forecast_model_check(forecast_model *model, const forecast_set *set);
void forecast_model_free(forecast_model *model);

/** What a model's file says of it. */
enum { FORECAST_SETTINGS = 7 };
typedef struct forecast_settings {
    qn_metadata list[FORECAST_SETTINGS];
    char look_back[24], horizon[24], items[24], levels[256];
} forecast_settings;
void forecast_model_settings(const forecast_model *model, forecast_settings *out);

/* ---- forecast_windows.c: forecasts --------------------------------------------------------- */

/** Which windows are forecast, and how. */
typedef struct forecast_request {
    int64_t start,
        end;        /**< the windows' targets lie within these steps, as far as they are known */
    int64_t stride; /**< steps from window to window */
    bool future;    /**< instead: the steps after each item's end */
    int64_t batch_size; /**< 0: what suits */
    bool drop_last;     /**< leave out a last batch that is not full */
    int samples;        /**< paths that "deepar" draws; 0: the mean alone, without quantiles */
} forecast_request;

/** The forecast of one item in one window, in the item's own units. */
typedef struct forecast_result {
    int64_t item, step;
    const double *actual;    /**< [horizon]; NaN: not observed */
    const double *mean;      /**< [horizon] */
    const double *quantiles; /**< [horizon][levels] */
} forecast_result;

/** Forecasts windows in order of time (of item first, where windows are of single items), and gives
 * each item's result to take(). What goes wrong is the context's error. */
qn_status forecast_windows(const forecast_model *model, const forecast_set *set,
                           const forecast_request *request,
                           void (*take)(void *data, const forecast_result *result), void *data);

/** The datasets of a part of the set as the model takes them, cut to at most `most` windows (0:
 * all). */
qn_dataset *forecast_dataset(const forecast_model *model, const forecast_set *set, int64_t start,
                             int64_t end, int64_t most);

/** Element of rank level * (count - 1) of sorted values, between two where
 * that is no whole number. */
double forecast_quantile(const float *sorted, int64_t count, double level);

/* ---- forecast_backtest.c: measures --------------------------------------------------------- */

/** One forecast of a back-test, kept for the report. */
typedef struct forecast_kept {
    int64_t item, step;
    double score;  /**< mean quantile loss over the item's seasonal error */
    float *values; /**< [horizon][1 + levels]: mean and quantiles */
} forecast_kept;

typedef struct forecast_measures {
    double mse, mae; /**< standardised, over every test window */
    qn_forecast_metrics model, naive;
    int64_t windows; /**< of the back-test */
    forecast_kept *kept;
    int64_t kept_count;
} forecast_measures;

/** Sets a point model's offsets from its errors on the validation part. What goes wrong is the
 * context's error. */
qn_status forecast_calibrate(forecast_model *model, const forecast_set *set);
/** Measures a model on the test part. What goes wrong is the context's error. */
qn_status forecast_measure(const example_options *options, const forecast_model *model,
                           const forecast_set *set, forecast_measures *out);
void forecast_measures_free(forecast_measures *measures);
/** Prints them as a table, or as one JSON line. */
void forecast_measures_print(const forecast_measures *measures, const forecast_model *model,
                             bool json);
/** Adds them to log and report, with charts of the best, a median and the worst forecast. */
void forecast_measures_report(const forecast_measures *measures, const forecast_model *model,
                              const forecast_set *set, qn_report *report);

/* ---- forecast_predict.c -------------------------------------------------------------------- */

/** Writes quantiles of the steps after the data's end as CSV. Returns the exit code. */
int forecast_predict(const example_options *options, qn_context *ctx);

#endif
