/* forecast_predict.c: the steps after the end of the data, as CSV or JSON lines. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "forecasting.h"

/** Paths that "deepar" draws unless the options say otherwise. */
#define SAMPLES 200

typedef struct writing {
    const forecast_model *model;
    const forecast_set *set;
    FILE *out;
    bool json, no_formulas;
    bool begun; /* the header is written: a refusal leaves nothing behind */
} writing;

/** Writes a text as a CSV field (RFC 4180). A spreadsheet takes what begins with = + - @, a tab or
 * a carriage return for a formula: where that is to be avoided an apostrophe comes before it. */
static void write_field(FILE *out, const char *text, bool no_formulas) {
    const char *mark = no_formulas && *text && strchr("=+-@\t\r", *text) ? "'" : "";
    if (!strpbrk(text, "\",\r\n")) {
        fprintf(out, "%s%s", mark, text);
        return;
    }
    fprintf(out, "\"%s", mark);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void write_header(const writing *w) {
    fputs("item_id,timestamp", w->out);
    for (int i = 0; i < w->model->level_count; i++)
        fprintf(w->out, ",p%.10g", 100 * w->model->levels[i]);
    fputc('\n', w->out);
}

static void write_csv(const writing *w, const forecast_result *result, int64_t h) {
    const int levels = w->model->level_count;
    char time[32], number[32];
    write_field(w->out, qn_series_name(w->set->series, result->item), w->no_formulas);
    fprintf(w->out, ",%s", qn_series_time(w->set->series, result->step + h, time));
    for (int i = 0; i < levels; i++)
        fprintf(w->out, ",%s", example_number_text(result->quantiles[h * levels + i], number));
    fputc('\n', w->out);
}

static void write_json(const writing *w, const forecast_result *result, int64_t h) {
    const int levels = w->model->level_count;
    char time[32], key[16];
    fputs("{\"event\": \"predict\", \"item_id\": ", w->out);
    example_json_text(w->out, qn_series_name(w->set->series, result->item));
    fprintf(w->out, ", \"timestamp\": \"%s\"",
            qn_series_time(w->set->series, result->step + h, time));
    for (int i = 0; i < levels; i++) {
        snprintf(key, sizeof(key), "p%.10g", 100 * w->model->levels[i]);
        example_json_member(w->out, key, result->quantiles[h * levels + i]);
    }
    fputs("}\n", w->out);
}

static void write_result(void *data, const forecast_result *result) {
    writing *w = data;
    if (!w->begun && !w->json)
        write_header(w);
    w->begun = true;
    for (int64_t h = 0; h < w->model->sizes.horizon; h++)
        (w->json ? write_json : write_csv)(w, result, h);
}

static qn_status write_all(const example_options *options, const forecast_model *model,
                           const forecast_set *set, FILE *out) {
    const double samples = options->number[FORECAST_SAMPLES];
    writing w = {.model = model,
                 .set = set,
                 .out = out,
                 .json = options->json,
                 .no_formulas = options->own[FORECAST_NO_FORMULAS]};
    const forecast_request request = {.future = true,
                                      .samples = samples > 0 ? (int)samples : SAMPLES};
    return forecast_windows(model, set, &request, write_result, &w);
}

int forecast_predict(const example_options *options, qn_context *ctx) {
    const char *path = options->own[FORECAST_OUTPUT];
    forecast_model model;
    forecast_set set;
    const char *input = options->inputs[0];
    if (options->input_count > 1)
        return example_error("predict takes one file, not '%s' too", options->inputs[1]);
    if (options->json && options->own[FORECAST_NO_FORMULAS])
        return example_error("--no-formulas is for CSV and --json for JSON: give one of them");
    if (!input && example_has_stdin())
        input = "-";
    int code =
        forecast_model_load(ctx, options->load ? options->load : FORECAST_DEFAULT_MODEL, &model);
    if (code == EXAMPLE_OK)
        code = forecast_set_open(options, ctx, input, &set);
    if (code == EXAMPLE_OK)
        code = forecast_model_check(&model, &set);
    FILE *out = code == EXAMPLE_OK && path ? fopen(path, "w") : stdout;
    if (!out)
        code = example_io_error(errno, "cannot write '%s'", path);
    if (code == EXAMPLE_OK && write_all(options, &model, &set, out) != QN_OK)
        code = example_status(ctx);
    if (out && out != stdout && fclose(out) != 0 && code == EXAMPLE_OK)
        code = example_io_error(errno, "cannot write '%s'", path);
    forecast_model_free(&model);
    return code;
}
