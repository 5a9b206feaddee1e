/* test_example_forecasting.c: the forecasting program from outside: results, files, bad input. */
#include <math.h>
#include <signal.h>

#define EXAMPLE_PROGRAM "forecasting"
#include "example_program.h"

TestSuite(example_forecasting, .init = scratch_open, .fini = scratch_close, .timeout = 300);

/* ---- small data ----------------------------------------------------------------------------- */

enum { STEPS = 240 };

/* A value of a weekly cycle, with noise. */
static double value_at(int item, int step) {
    const uint32_t noise = ((uint32_t)step * 2654435761u + (uint32_t)item * 40503u) >> 22;
    return 20 + 5 * item + (3 + item) * sin(step * 6.283185307 / 7 + item) + noise / 1024.0;
}

static void write_line(FILE *file, int item, int step) {
    fprintf(file, "%d,2020-%02d-%02d,%.3f\n", item, step / 28 + 1, step % 28 + 1,
            value_at(item, step));
}

/* "wide.csv": days, two items, a missing value and a column of words. 28
 * days a month leave gaps. */
static void write_data(void) {
    FILE *wide = fopen(scratch_path("wide.csv"), "w"),
         *items = fopen(scratch_path("items.csv"), "w");
    cr_assert(wide && items);
    fputs("date,a,words,b\n", wide);
    fputs("item_id,timestamp,target_value\n", items);
    for (int t = 0; t < STEPS; t++) {
        fprintf(wide, "2020-%02d-%02d,%.3f,x,", t / 28 + 1, t % 28 + 1, value_at(0, t));
        fprintf(wide, t == 50 ? "\n" : "%.3f\n", value_at(1, t));
        write_line(items, 0, t);
        if (t >= 100)
            write_line(items, 1, t);
    }
    fclose(wide);
    fclose(items);
}

#define SMALL "--look-back 21 --horizon 7 --threads 1 "

/* ---- what it does --------------------------------------------------------------------------- */

Test(example_forecasting, trains_evaluates_and_predicts) {
    write_data();
    run("train --data wide.csv --model nlinear " SMALL "--log log --report page.html");
    expect_in_file("err",
                   "wide.csv: 2 items, 260 steps (every day from 2020-01-01 to 2020-09-16), ");
    expect_in_file("err", "41 missing values filled in; without words");
    expect_in_file("out", "model: forecasting.safetensors");
    expect_in_file("out", "back-test         nlinear   seasonal naive");
    expect_in_file("log", "\"event\": \"done\"");
    static const char *const keys[] = {"test_mse",           "test_mae",    "mean_wql",  "seconds",
                                       "samples_per_second", "peak_rss_mb", "parameters"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        expect_in_file("log", keys[i]);
    expect_in_file("page.html", "seasonal naive");
    expect_in_file("page.html", "worst: ");
    run("evaluate --data wide.csv --json --quiet");
    expect_in_file("out", "{\"event\": \"evaluate\", \"test_mse\": ");
    expect_in_file("out", "\"seasonal_naive\": {\"quantiles\": [0.1, 0.5, 0.9], \"wql\": [");
    run("predict wide.csv --quiet");
    expect_in_file("out", "item_id,timestamp,p10,p50,p90\na,2020-09-17,");
    expect_in_file("out", "\nb,2020-09-23,");
    run("predict wide.csv --output forecast.csv");
    expect_in_file("forecast.csv", "\nb,2020-09-23,");
}

/* Days of a series, two of them with a number that a file format uses where there is none. */
static void write_days(const char *name, double level, double wave, bool filled) {
    FILE *file = fopen(scratch_path(name), "w");
    cr_assert_not_null(file);
    fputs("date,y\n", file);
    for (int t = 0; t < STEPS; t++) {
        fprintf(file, "2021-%02d-%02d,", t / 28 + 1, t % 28 + 1);
        if (filled && t == STEPS - 3)
            fputs("9.96921e+36\n", file);
        else
            fprintf(file, "%.9g\n", level + wave * sin(t * 6.283185307 / 7));
    }
    fclose(file);
}

Test(example_forecasting, what_is_not_finite_is_refused_by_file_and_line) {
    static const char *const keys[] = {"model",  "look_back", "horizon",   "items",
                                       "layout", "quantiles", "frequency", NULL};
    write_days("days.csv", 5, 0.01, false);
    write_days("filled.csv", 5, 0.01, true);
    run("train --data days.csv --epochs 1 " SMALL "--quiet");
    expect_refused("predict filled.csv --quiet",
                   "filled.csv:239: item 'y' at 2021-09-14: 9.96921e+36 is "
                   "beyond f32 once standardised by mean ");
    expect_refused("train --data filled.csv --epochs 1 " SMALL "--quiet", "filled.csv:239: item");
    poison("forecasting.safetensors", "nan", keys);
    expect_refused("predict days.csv --quiet --load nan",
                   "days.csv:241: item 'y': the forecast of 2021-09-17, from what ends here, is no "
                   "number that f32 has");
    expect_refused("evaluate --data days.csv --json --quiet --load nan", "days.csv:");
    FILE *file = fopen(scratch_path("filled.csv"), "a");
    fputs("2021-09-18,1e39\n", file);
    fclose(file);
    expect_refused("predict filled.csv --quiet",
                   "filled.csv:242: column 'y': 1e+39 is beyond the range of f32 (up to 3.4");
}

/* Numbers whose differences are small beside themselves, and numbers small in themselves. */
Test(example_forecasting, forecasts_have_the_digits_that_tell_them_apart) {
    const double levels[] = {16e9, 3e-9}, waves[] = {300, 1e-9};
    for (int i = 0; i < 2; i++) {
        write_days("days.csv", levels[i], waves[i], false);
        run("train --data days.csv --epochs 2 " SMALL "--quiet");
        if (i == 1) {
            size_t bytes;
            char *out = scratch_read(scratch_path("out"), &bytes);
            cr_expect_null(strstr(out, " 0.0000 "), "%s", out);
            free(out);
        }
        run("predict days.csv --quiet");
        size_t size;
        char *text = scratch_read(scratch_path("out"), &size), *rest = NULL, *line;
        double before[3] = {0};
        strtok_r(text, "\n", &rest);
        for (int h = 0; h < 7; h++) {
            double q[3];
            line = strtok_r(NULL, "\n", &rest);
            cr_assert_not_null(line);
            cr_assert_eq(sscanf(line, "y,%*[^,],%lf,%lf,%lf", &q[0], &q[1], &q[2]), 3, "%s", line);
            cr_expect(q[0] < q[1] && q[1] < q[2] && q[1] != before[1], "%s", line);
            memcpy(before, q, sizeof(q));
        }
        free(text);
    }
}

Test(example_forecasting, standard_input_is_read_and_never_replaced) {
    write_days("days.csv", 5, 1, false);
    run("train --data days.csv --epochs 1 " SMALL "--quiet --save named.safetensors");
    cr_assert_eq(run_shell("cat days.csv | $P train --data - --epochs 1 " SMALL
                           "--quiet --save piped.safetensors > out 2> err"),
                 0);
    cr_assert_eq(run_shell("cat days.csv | $P evaluate --data - --json --load named.safetensors > "
                           "piped 2> err && $P evaluate --data days.csv --json --load "
                           "named.safetensors > named 2> err"),
                 0);
    expect_same_file("named", "piped");
    run("predict days.csv --load named.safetensors --quiet");
    cr_assert_eq(rename(scratch_path("out"), scratch_path("named")), 0);
    static const char *const ways[] = {"cat days.csv | $P predict --load piped.safetensors",
                                       "$P predict --load piped.safetensors < days.csv",
                                       "cat days.csv | $P predict - --load piped.safetensors",
                                       "gzip -c days.csv | $P predict - --load piped.safetensors"};
    for (int i = 0; i < 4; i++) {
        char line[256];
        snprintf(line, sizeof(line), "%s > out 2> err", ways[i]);
        cr_assert_eq(run_shell(line), 0, "%s", line);
        expect_same_file("out", "named");
    }
    cr_expect_eq(run_shell("printf '' | $P predict --load piped.safetensors > out 2> err"), 2);
    expect_in_file("err", "forecasting: -");
}

Test(example_forecasting, json_is_honoured_or_refused) {
    write_days("days.csv", 5, 1, false);
    run("train --data days.csv --epochs 1 " SMALL "--quiet");
    run("predict days.csv --quiet --json");
    expect_in_file("out", "{\"event\": \"predict\", \"item_id\": \"y\", \"timestamp\": "
                          "\"2021-09-17\", \"p10\": ");
    run("--verify forecasting.safetensors --json");
    expect_in_file("out", "{\"event\": \"verify\", \"file\": \"forecasting.safetensors\", "
                          "\"tensors\": ");
    expect_refused("predict days.csv --json --no-formulas", "--no-formulas is for CSV");
    expect_refused("train --data days.csv --json", "train does not take --json");
}

Test(example_forecasting, every_model_trains_on_both_kinds_of_files) {
    static const char *const models[] = {"dlinear", "lstm", "tcn", "patchtst", "deepar"};
    write_data();
    for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
        char command[256];
        snprintf(command, sizeof(command), "train --data %s --model %s --epochs 1 " SMALL "--quiet",
                 i % 2 ? "wide.csv" : "items.csv", models[i]);
        run(command);
        snprintf(command, sizeof(command), "predict %s --samples 20 --threads 1",
                 i % 2 ? "wide.csv" : "items.csv");
        run(command);
        expect_in_file("out", "2020-09-17,");
    }
    run("train --data items.csv --model nlinear --quantiles 0.25,0.75 --quiet");
    expect_in_file("out", "wQL P75");
    run("train --data wide.csv --model deepar --epochs 1 " SMALL
        "--drop-last --samples 10 --quiet");
}

Test(example_forecasting, evaluate_repeats_what_train_measured) {
    static const char *const models[] = {"nlinear", "deepar"};
    write_data();
    for (int i = 0; i < 2; i++) {
        char command[256];
        snprintf(command, sizeof(command), "train --data wide.csv --model %s --epochs 2 " SMALL,
                 models[i]);
        run(command);
        size_t size;
        char *trained = scratch_read(scratch_path("out"), &size);
        run("evaluate --data wide.csv --threads 1");
        char *evaluated = scratch_read(scratch_path("out"), &size);
        const char *table = strstr(trained, "test MSE");
        cr_expect(table && strcmp(table, evaluated) == 0, "%s and %s", trained, evaluated);
        free(trained);
        free(evaluated);
    }
}

/* ---- interrupted ---------------------------------------------------------------------------- */

#define LONG_RUN "train --data wide.csv --model deepar --epochs 6 " SMALL "--save model --log log "

Test(example_forecasting, killed_and_resumed_ends_with_the_same_bits) {
    write_data();
    run(LONG_RUN);
    cr_assert_eq(rename(scratch_path("model"), scratch_path("whole")), 0);
    remove(scratch_path("model.checkpoint"));
    pid_t child = start(LONG_RUN);
    while (access(scratch_path("model.checkpoint"), F_OK) != 0)
        usleep(1000);
    usleep(150000);
    kill(child, SIGKILL);
    wait_for(child);
    run(LONG_RUN "--resume model.checkpoint");
    expect_same_file("model", "whole");
}

/* ---- bad input ------------------------------------------------------------------------------ */

Test(example_forecasting, refuses_bad_options_in_one_line) {
    write_data();
    expect_refused("train --model arima", "--model takes one of nlinear, dlinear, ");
    expect_refused("train --horizon 0", "--horizon takes a whole number from 1");
    expect_refused("train --split half", "--split takes one of auto, ett, ratio");
    expect_refused("train --quiet --quantiles 0.5,0.1",
                   "--quantiles takes up to 16 rising numbers");
    expect_refused("train --quiet --quantiles 0.5;0.9", "--quantiles takes");
    expect_refused("train --quiet --quantiles 1", "--quantiles takes");
    expect_refused("train --quiet --data wide.csv --horizon 200", "are too few to forecast 200");
    expect_refused("train --quiet --data wide.csv --split ett", "--split ett needs 20 months");
    expect_refused("train --quiet --data wide.csv --model patchtst --look-back 8",
                   "patchtst: a look-back of 8 is too short");
    expect_refused("predict --horizon 3", "predict does not take --horizon");
}

Test(example_forecasting, refuses_bad_files_in_one_line) {
    static const char bad[] = "date,a\n2020-01-01,1\n2020-01-02,x\n2020-01-03,2\n";
    static const char hours[] = "date,a,b\n2020-01-01 00:00,1,1\n2020-01-01 01:00,1,1\n";
    write_data();
    scratch_write("bad.csv", bad, sizeof(bad) - 1);
    scratch_write("hours.csv", hours, sizeof(hours) - 1);
    expect_refused("train --data nowhere.csv", "nowhere.csv");
    expect_refused("train --data bad.csv", "bad.csv:3: column 'a': 'x' is no number");
    run("train --data wide.csv --epochs 1 --quiet " SMALL);
    expect_refused("evaluate --quiet --data items.csv",
                   "items.csv does not have the items that the model");
    expect_refused("evaluate --quiet --data hours.csv",
                   "steps of H do not fit a model for steps of D");
    expect_refused("predict nowhere.csv", "nowhere.csv");
    expect_refused("predict wide.csv items.csv", "predict takes one file, not 'items.csv' too");
    expect_refused("predict --quiet wide.csv --output no/file", "cannot write 'no/file'");
    expect_refused("evaluate --data wide.csv --load forecasting.checkpoint",
                   "was not saved by 'forecasting train'");
}
