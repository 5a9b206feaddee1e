/* test_series.c: time series from files, windows over them, and the measures of forecasts. */
#include <math.h>

#include "scratch.h"

TestSuite(series, .init = scratch_open, .fini = scratch_close);

static qn_series *open_text(const char *text, const qn_series_opts *opts) {
    return qn_series_open(ctx, scratch_write("series.csv", text, strlen(text)), opts);
}

/* Opens a text that is to be refused, with a message that has all of the words. */
static void refuse_with(const char *text, const qn_series_opts *opts, const char *first,
                        const char *second) {
    cr_expect_null(open_text(text, opts), "took:\n%s", text);
    const char *message = qn_context_message(ctx);
    cr_expect(strstr(message, first) && strstr(message, second), "'%s' lacks '%s' or '%s'", message,
              first, second);
    qn_context_clear_error(ctx);
}

static void refuse(const char *text, const char *first, const char *second) {
    refuse_with(text, NULL, first, second);
}

/* ---- timestamps and frequencies --------------------------------------------------------- */

/* Two lines of a wide file, the frequency that they have, and how the
 * step after them is written. */
typedef struct pair {
    const char *first, *second, *frequency, *third;
    int season;
} pair;

Test(series, reads_every_form_of_timestamp) {
    static const pair pairs[] = {
        {"2016-07-01 00:00:00", "2016-07-01 01:00:00", "H", "2016-07-01 02:00:00", 24},
        {"2016-07-01 23:45", "2016-07-02 00:00", "15min", "2016-07-02 00:15:00", 96},
        {"2016-07-01T22:00:00Z", "2016-07-02T00:00:00Z", "2H", "2016-07-02 02:00:00+00:00", 12},
        {"2016-07-01T22:00:00.000+02:00", "2016-07-02T00:00:00.000+0200", "2H",
         "2016-07-02 02:00:00+02:00", 12},
        {"2012/02/28", "2012/02/29", "D", "2012-03-01", 7},
        {"20120228", "20120306", "W", "2012-03-13", 52},
        {"2012-01", "2012-02", "M", "2012-03-01", 12},
        {"2012-01-31", "2012-02-29", "M", "2012-03-31", 12},
        {"2012-01-01", "2012-04-01", "Q", "2012-07-01", 4},
        {"2012-02-29", "2013-02-28", "Y", "2014-02-28", 1},
        {"1969-12-31 23:59:59", "1970-01-01 00:00:00", "S", "1970-01-01 00:00:01", 86400},
        {"12/31/2012", "1/1/2013", "D", "2013-01-02", 7},
        {"31.12.2012", "1.1.2013", "D", "2013-01-02", 7},
        {"01.02.2013", "01.03.2013", "M", "2013-04-01", 12},
        {"1.2.2013 00:00", "1.2.2013 01:00", "H", "2013-02-01 02:00:00", 24},
        {"31/12/2012", "1/1/2013", "D", "2013-01-02", 7},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        char text[200], time[32];
        snprintf(text, sizeof(text), "date,x\n%s,1\n%s,2\n", pairs[i].first, pairs[i].second);
        qn_series *s = open_text(text, NULL);
        cr_assert_not_null(s, "%s: %s", pairs[i].first, qn_context_message(ctx));
        const qn_series_facts facts = qn_series_info(s);
        cr_expect_str_eq(facts.frequency, pairs[i].frequency);
        cr_expect_eq(facts.season, pairs[i].season, "%s: %d", pairs[i].first, facts.season);
        cr_expect_str_eq(qn_series_time(s, 2, time), pairs[i].third);
        cr_expect_eq(facts.steps, 2);
    }
}

Test(series, years_alone_are_dates_in_a_column_named_so) {
    qn_series *s = open_text("x,year\n1990,2001\n1991,2002\n1993,2004\n", NULL);
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    cr_expect_str_eq(qn_series_info(s).frequency, "Y");
    cr_expect_str_eq(qn_series_name(s, 0), "x");
    cr_expect_eq(qn_series_info(s).missing, 1);
}

Test(series, dates_that_could_be_two_are_refused) {
    refuse("date,x\n1/2/2012,1\n2/2/2012,2\n", "month or the day first", "YYYY-MM-DD");
    refuse("date,x\n1/13/2012,1\n13/1/2012,2\n", "month first in some lines", "series.csv");
}

Test(series, a_year_typed_wrong_is_no_series_of_centuries) {
    refuse("date,x\n2012-01-01,1\n2012-01-02,2\n2612-01-03,3\n2012-01-04,4\n",
           "from 2012-01-01 (line 2) to 2612-01-03 (line 4) there are 219147 steps, and only 4 "
           "lines",
           "series.csv");
    refuse("item_id,date,x\na,2012-01-01,1\na,2012-01-02,2\nb,1712-01-01,1\nb,1712-01-02,2\n",
           "from 1712-01-01 (line 4) to 2012-01-02 (line 3)", "series.csv");
}

Test(series, bad_timestamps_are_named) {
    static const char *const bad[] = {"2012-13-01", "2012-02-30",        "2012-01-01 24:00",
                                      "2012-1x-01", "2012-01-01 10:0",   "yesterday",
                                      "2012-01-",   "2012-01-01T10:00+", "20120230"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char text[200];
        snprintf(text, sizeof(text), "date,x\n2012-01-01,1\n%s,2\n", bad[i]);
        refuse(text, "series.csv:3: ", bad[i]);
    }
}

/* ---- wide files ------------------------------------------------------------------------- */

Test(series, wide_files) {
    qn_series *s = open_text("date,a,kind,b\n"
                             "2020-01-03,3,x,30\n"
                             "2020-01-01,1,y,NA\n"
                             "\n"
                             "2020-01-02,,z,20\n"
                             "2020-01-05,5e0,x,\" 50 \"\n",
                             NULL);
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    const qn_series_facts facts = qn_series_info(s);
    cr_expect_eq(facts.format, QN_SERIES_WIDE);
    cr_expect_eq(facts.items, 2);
    cr_expect_eq(facts.steps, 5);
    cr_expect_eq(facts.missing, 4);
    cr_expect_str_eq(facts.every, "day");
    cr_expect_float_eq(facts.year, 365.2425, 1e-9);
    cr_expect_str_eq(qn_series_name(s, 1), "b");
    cr_expect_null(qn_series_name(s, 2));
    cr_expect_str_eq(qn_series_dropped(s, 0), "kind");
    cr_expect_null(qn_series_dropped(s, 1));
    static const double a[] = {1, 1, 3, 3, 5}, b[] = {20, 20, 30, 30, 50};
    for (int t = 0; t < 5; t++) {
        cr_expect_eq(qn_series_value(s, 0, t), a[t], "a at %d", t);
        cr_expect_eq(qn_series_value(s, 1, t), b[t], "b at %d", t);
    }
    cr_expect(qn_series_observed(s, 0, 0));
    cr_expect_not(qn_series_observed(s, 0, 1));
    cr_expect_not(qn_series_observed(s, 1, 0));
    cr_expect_not(qn_series_observed(s, 1, 3));
    cr_expect(isnan(qn_series_value(s, 0, 5)));
    cr_expect(isnan(qn_series_value(s, 2, 0)));
}

Test(series, gaps_are_filled_as_asked) {
    const char *text =
        "date,x\n2020-01-01,\n2020-01-02,2\n2020-01-05,8\n2020-01-06,9\n2020-01-07,\n";
    static const double expected[][7] = {[QN_FILL_FORWARD] = {2, 2, 2, 2, 8, 9, 9},
                                         [QN_FILL_LINEAR] = {2, 2, 4, 6, 8, 9, 9},
                                         [QN_FILL_ZERO] = {0, 2, 0, 0, 8, 9, 0}};
    for (int fill = QN_FILL_FORWARD; fill <= QN_FILL_ZERO; fill++) {
        qn_series *s = open_text(text, &(qn_series_opts){.fill = (qn_series_fill)fill});
        cr_assert_not_null(s, "%s", qn_context_message(ctx));
        cr_expect_eq(qn_series_info(s).missing, 4);
        for (int t = 0; t < 7; t++)
            cr_expect_float_eq(qn_series_value(s, 0, t), expected[fill][t], 1e-12, "%d at %d", fill,
                               t);
    }
}

Test(series, wide_files_without_a_header) {
    qn_series *s = open_text("2020-01-01 10:00,5,1\n2020-01-01 10:10,6,2\n", NULL);
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_series_info(s).items, 2);
    cr_expect_str_eq(qn_series_name(s, 0), "2");
    cr_expect_str_eq(qn_series_name(s, 1), "3");
    cr_expect_str_eq(qn_series_info(s).frequency, "10min");
}

Test(series, bad_wide_files_are_refused) {
    refuse("", "no lines", "series.csv");
    refuse("date,x\n", "no lines", "series.csv");
    refuse("date,x\n2020-01-01,1\n2020-01-02\n", "series.csv:3: ", "1 fields where 2");
    refuse("date,x,y\n2020-01-01,1,1\n2020-01-02,2,2\n2020-01-03,1o,3\n",
           "series.csv:4: column 'x'", "'1o' is no number");
    refuse("date,x\n2020-01-01,1\n2020-01-02,1e999\n2020-01-03,1\n", "series.csv:3: column 'x'",
           "'1e999'");
    refuse("date,x\n2020-01-01,1\n2020-01-02,inf\n2020-01-03,1\n", "'inf'", "series.csv:3");
    refuse("date,x\n2020-01-01,a\n2020-01-02,b\n", "no column holds numbers", "series.csv");
    refuse("a,b\n1,2\n3,4\n", "series.csv:2: ", "no column holds a timestamp");
    refuse("date,x\n2020-01-01,1\n2020-01-02,2\n2020-01-01,3\n",
           "series.csv:4: ", "2020-01-01 was on line 2 already");
    refuse("date,x\n2020-01-01,1\n", "the frequency is not known", "series.csv");
    refuse("date,x\n2020-01-01,\"1\n", "series.csv:2: ", "quote");
    refuse("date,x\n2020-01-01 00:00,1\n2020-01-01 01:00,2\n2020-01-01 02:30,3\n",
           "series.csv:4: ", "lies between the steps, one every hour");
    const char zero[] = "date,x\n2020-01-01,1\0\n";
    cr_expect_null(qn_series_open(ctx, scratch_write("zero.csv", zero, sizeof(zero) - 1), NULL));
    cr_expect(strstr(qn_context_message(ctx), "zero.csv:2: "), "%s", qn_context_message(ctx));
}

Test(series, a_frequency_can_be_given) {
    const char *text = "date,x\n2020-01-01,1\n2020-01-03,2\n2020-01-05,3\n";
    qn_series *s = open_text(text, &(qn_series_opts){.frequency = "D"});
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_series_info(s).steps, 5);
    cr_expect_eq(qn_series_info(s).missing, 2);
    refuse_with(text, &(qn_series_opts){.frequency = "3D"}, "series.csv:3: ", "every 3 days");
    refuse_with(text, &(qn_series_opts){.frequency = "fortnight"}, "frequency 'fortnight'", "min");
    refuse_with(text, &(qn_series_opts){.frequency = "M"}, "one day of the month", "'M'");
    refuse_with("date,x\n0001-01-01 00:00:00,1\n9999-12-31 00:00:00,2\n",
                &(qn_series_opts){.frequency = "S"}, "nearly all is missing", "series.csv");
}

Test(series, embedded_files) {
    static const struct {
        const char *name, *frequency, *dropped;
        int64_t items, steps;
    } files[] = {{"seattle-weather.csv", "D", "weather", 4, 1461},
                 {"us-employment.csv", "M", NULL, 23, 120}};
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/examples/forecasting/data/%s", QUERN_SOURCE_DIR,
                 files[i].name);
        qn_series *s = qn_series_open(ctx, path, NULL);
        cr_assert_not_null(s, "%s", qn_context_message(ctx));
        const qn_series_facts facts = qn_series_info(s);
        cr_expect_str_eq(facts.frequency, files[i].frequency);
        cr_expect_eq(facts.items, files[i].items);
        cr_expect_eq(facts.steps, files[i].steps);
        cr_expect_eq(facts.missing, 0);
        const char *dropped = qn_series_dropped(s, 0);
        cr_expect_eq(!dropped, !files[i].dropped);
        cr_expect(!dropped || strcmp(dropped, files[i].dropped) == 0);
    }
}

Test(series, ett) {
    const char *root = getenv("QUERN_DATA_DIR");
    char path[4096];
    snprintf(path, sizeof(path), "%s/forecast/ETTh1.csv", root ? root : "");
    if (!root || access(path, R_OK) != 0) {
        fprintf(stderr, "skipped: no $QUERN_DATA_DIR/forecast/ETTh1.csv\n");
        return;
    }
    qn_series *s = qn_series_open(ctx, path, NULL);
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    const qn_series_facts facts = qn_series_info(s);
    cr_expect_eq(facts.items, 7);
    cr_expect_eq(facts.steps, 17420);
    cr_expect_eq(facts.missing, 0);
    cr_expect_str_eq(facts.frequency, "H");
    double mean[7], std[7];
    qn_series_scale(s, 0, 12 * 30 * 24, mean, std);
    cr_expect_float_eq(mean[6], 17.128262, 1e-5);
    cr_expect_float_eq(std[6], 9.176491, 1e-5);
}

/* ---- files of items --------------------------------------------------------------------- */

Test(series, items) {
    qn_series *s = open_text("target_value,store,item_id,timestamp\n"
                             "1,x,apple,2020-01-01\n"
                             "10,y,apple,2020-01-02\n"
                             "2,x,apple,2020-01-02\n"
                             "12,y,apple,2020-01-04\n"
                             "5,x,\"pear, green\",2020-01-03\n"
                             "11,y,apple,2020-01-03\n",
                             NULL);
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    const qn_series_facts facts = qn_series_info(s);
    cr_expect_eq(facts.format, QN_SERIES_ITEMS);
    cr_expect_eq(facts.items, 3);
    cr_expect_eq(facts.steps, 4);
    cr_expect_eq(facts.missing, 0);
    cr_expect_str_eq(qn_series_name(s, 0), "apple|x");
    cr_expect_str_eq(qn_series_name(s, 1), "apple|y");
    cr_expect_str_eq(qn_series_name(s, 2), "pear, green|x");
    cr_expect_eq(qn_series_start(s, 1), 1);
    cr_expect_eq(qn_series_end(s, 1), 4);
    cr_expect_eq(qn_series_end(s, 0), 2);
    cr_expect_eq(qn_series_value(s, 1, 2), 11);
    cr_expect_eq(qn_series_line(s, 1, 2), 7);
    cr_expect_eq(qn_series_line(s, 0, 0), 2);
    cr_expect_eq(qn_series_line(s, 1, 0), 0);
    cr_expect(isnan(qn_series_value(s, 1, 0)));
}

Test(series, items_without_a_header) {
    qn_series *s = open_text("a,2020-01-01 00:00:00,1\na,2020-01-01 02:00:00,\n"
                             "a,2020-01-01 01:00:00,2\n",
                             NULL);
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_series_info(s).format, QN_SERIES_ITEMS);
    cr_expect_eq(qn_series_info(s).missing, 1);
    cr_expect_eq(qn_series_value(s, 0, 1), 2);
}

Test(series, bad_items_are_refused) {
    const char *head = "item_id,timestamp,target_value\n";
    char text[2000];
    snprintf(text, sizeof(text),
             "%sa,2020-01-01,1\na,2020-01-02,2\nb,2020-01-01,1\na,2020-01-01,3\n", head);
    refuse(text, "series.csv:5: a at 2020-01-01", "line 2 already");
    snprintf(text, sizeof(text), "%sa,2020-01-01,1\na,2020-01-02,two\n", head);
    refuse(text, "series.csv:3: column 'target_value'", "'two'");
    snprintf(text, sizeof(text), "%sa,2020-01-01,1\na,2020-01-02,-4e38\n", head);
    refuse(text, "series.csv:3: column 'target_value': -4e+38", "beyond the range of f32");
    snprintf(text, sizeof(text), "%s,2020-01-01,1\n", head);
    refuse(text, "series.csv:2: ", "item_id is empty");
    refuse("item_id,timestamp\na,2020-01-01\n", "neither a header", "target_value");
}

Test(series, mixed_frequencies_are_refused) {
    char text[4000] = "item_id,timestamp,target_value\n";
    for (int i = 0; i < 10; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "hourly,2020-01-01 %02d:00,1\n",
                 i);
    for (int i = 1; i < 5; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "daily,2020-01-%02d 00:00,1\n",
                 i);
    refuse(text, "series.csv:12: mixed frequencies: daily",
           "a line every day here, every hour elsewhere");
    /* Within one item: first hours, then days. */
    strcpy(text, "date,x\n");
    for (int i = 0; i < 20; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "2020-01-01 %02d:00,1\n", i);
    for (int i = 2; i < 14; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "2020-01-%02d 00:00,1\n", i);
    refuse(text, "mixed frequencies", "every day here");
    /* Weekends without lines are gaps. */
    qn_series *s =
        open_text("date,x\n2020-01-02,1\n2020-01-03,1\n2020-01-06,1\n2020-01-07,1\n", NULL);
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    cr_expect_str_eq(qn_series_info(s).frequency, "D");
    cr_expect_eq(qn_series_info(s).missing, 2);
}

/* ---- features and scale ----------------------------------------------------------------- */

Test(series, calendar_features) {
    float row[QN_SERIES_FEATURES];
    qn_series *s = open_text("date,x\n2020-01-06 00:00,1\n2020-01-06 06:00,2\n", NULL);
    cr_assert_eq(qn_series_features(s, 1, row), 6);
    /* Six in the morning is a quarter of the day; a Monday begins the week. */
    cr_expect_float_eq(row[0], 1, 1e-6);
    cr_expect_float_eq(row[1], 0, 1e-6);
    cr_expect_float_eq(row[2], 0, 1e-6);
    cr_expect_float_eq(row[3], 1, 1e-6);
    s = open_text("date,x\n2020-01-01,1\n2020-02-01,2\n", NULL);
    cr_assert_eq(qn_series_features(s, 0, row), 2);
    cr_expect_float_eq(row[0], 0, 1e-6);
    s = open_text("date,x\n2020-01-01,1\n2021-01-01,2\n", NULL);
    cr_expect_eq(qn_series_features(s, 0, row), 0);
}

Test(series, scale_of_what_was_observed) {
    double mean[3], std[3];
    qn_series *s = open_text("date,a,b,c\n2020-01-01,1,7,\n2020-01-02,,7,\n2020-01-03,3,7,\n"
                             "2020-01-04,100,7,1\n",
                             NULL);
    cr_assert_eq(qn_series_scale(s, 0, 3, mean, std), QN_OK);
    cr_expect_float_eq(mean[0], 2, 1e-12);
    cr_expect_float_eq(std[0], 1, 1e-12);
    cr_expect_float_eq(mean[1], 7, 1e-12);
    cr_expect_eq(std[1], 1, "constant");
    cr_expect_eq(mean[2], 0);
    cr_expect_eq(std[2], 1, "nothing observed");
}

/* ---- windows ---------------------------------------------------------------------------- */

/* Values 0, 1, 2, ... of a and ten times that of b, a day apart; step 6 of a is missing. */
static qn_series *ramp(int steps) {
    char text[4000] = "date,a,b\n";
    for (int i = 0; i < steps; i++) {
        char a[16];
        snprintf(a, sizeof(a), "%d", i);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "2020-01-%02d,%s,%d\n", i + 1,
                 i == 6 ? "" : a, 10 * i);
    }
    return open_text(text, NULL);
}

Test(series, joint_windows) {
    static const double mean[] = {1, 0}, std[] = {2, 10};
    float x[3 * 2], y[2 * 2];
    qn_dataset *d = qn_windows(
        ramp(10),
        &(qn_windows_opts){
            .look_back = 3, .horizon = 2, .start = 1, .end = 9, .mean = mean, .std = std});
    cr_assert_not_null(d, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_dataset_info(d)->count, 4);
    cr_assert_eq(qn_dataset_get(d, 0, x, y), QN_OK);
    static const float expected_x[] = {0, 1, 0.5f, 2, 1, 3}, expected_y[] = {1.5f, 4, 2, 5};
    cr_expect_arr_eq(x, expected_x, sizeof(x));
    cr_expect_arr_eq(y, expected_y, sizeof(y));
    cr_assert_eq(qn_dataset_get(d, 3, x, y), QN_OK);
    cr_expect_eq(x[4], 2, "step 6, filled with 5");
    cr_expect_eq(y[0], 3, "step 7");
    cr_assert_eq(qn_dataset_get(d, 2, x, y), QN_OK);
    cr_expect(isnan(y[0]), "step 6 of a");
    cr_expect_eq(y[1], 6);
    cr_expect_eq(qn_windows_at(d, 3).step, 7);
    cr_expect_eq(qn_windows_at(d, 4).step, -1);
}

Test(series, single_windows_of_items_of_any_length) {
    qn_series *s = open_text("item_id,timestamp,target_value\n"
                             "a,2020-01-01,1\na,2020-01-02,2\na,2020-01-03,3\na,2020-01-04,4\n"
                             "a,2020-01-05,5\nb,2020-01-04,7\nb,2020-01-05,8\nc,2020-01-05,9\n",
                             NULL);
    float x[3], y[1];
    qn_dataset *d =
        qn_windows(s, &(qn_windows_opts){.kind = QN_WINDOWS_SINGLE, .look_back = 3, .horizon = 1});
    cr_assert_not_null(d, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_dataset_info(d)->count, 3, "two of a, one of b, none of c");
    qn_dataset_get(d, 1, x, y);
    cr_expect_arr_eq(x, ((float[]){2, 3, 4}), sizeof(x));
    cr_expect_eq(y[0], 5);
    qn_dataset_get(d, 2, x, y);
    cr_expect_arr_eq(x, ((float[]){7, 7, 7}), sizeof(x));
    cr_expect_eq(y[0], 8);
    cr_expect_eq(qn_windows_at(d, 2).item, 1);
    cr_expect_eq(qn_windows_at(d, 2).step, 4);
    /* Beyond the end: one window an item. */
    d = qn_windows(s, &(qn_windows_opts){
                          .kind = QN_WINDOWS_SINGLE, .look_back = 3, .horizon = 1, .future = true});
    cr_assert_eq(qn_dataset_info(d)->count, 3);
    qn_dataset_get(d, 0, x, y);
    cr_expect_arr_eq(x, ((float[]){3, 4, 5}), sizeof(x));
    cr_expect(isnan(y[0]));
    cr_expect_eq(qn_windows_at(d, 2).step, 5);
}

Test(series, strides_count_from_the_end) {
    qn_dataset *d =
        qn_windows(ramp(10), &(qn_windows_opts){.look_back = 3, .horizon = 2, .stride = 2});
    cr_assert_not_null(d);
    cr_assert_eq(qn_dataset_info(d)->count, 3);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(qn_windows_at(d, i).step, 4 + 2 * i);
}

Test(series, recursive_windows) {
    enum { WIDTH = QN_WINDOW_INPUTS + 4 };
    float x[5][WIDTH], y[5];
    qn_dataset *d = qn_windows(
        ramp(12), &(qn_windows_opts){.kind = QN_WINDOWS_RECURSIVE, .look_back = 3, .horizon = 2});
    cr_assert_not_null(d, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_dataset_info(d)->count, 16);
    cr_assert_eq(qn_dataset_info(d)->x_shape.dim[1], WIDTH, "week and year");
    /* The last window of b: steps 7 to 11, scale (70 + 80 + 90) / 3. */
    qn_dataset_get(d, 15, x, y);
    cr_expect_eq(x[0][QN_WINDOW_ITEM], 1);
    cr_expect_float_eq(x[0][QN_WINDOW_LOG_SCALE], log(80), 1e-6);
    cr_expect_float_eq(x[0][QN_WINDOW_LAST], 60.0 / 80, 1e-6);
    cr_expect_float_eq(x[4][QN_WINDOW_LAST], 100.0 / 80, 1e-6);
    cr_expect_eq(x[0][QN_WINDOW_SEASON], 0);
    cr_expect_float_eq(x[4][QN_WINDOW_SEASON], 40.0 / 80, 1e-6);
    cr_expect_float_eq(y[4], 110.0 / 80, 1e-6);
    /* The first of a has only zeros before 1 and 2, and step 6 is not known. */
    qn_dataset_get(d, 2, x, y);
    cr_expect_float_eq(x[0][QN_WINDOW_LOG_SCALE], log(3), 1e-6);
    cr_expect(isnan(y[4]));
}

Test(series, a_dry_look_back_is_no_scale) {
    float x[4][QN_WINDOW_INPUTS + QN_SERIES_FEATURES], y[4];
    qn_series *s = open_text("date,x\n2020-01-01,8\n2020-01-02,8\n2020-01-03,0\n2020-01-04,0\n"
                             "2020-01-05,0\n2020-01-06,5\n",
                             NULL);
    qn_dataset *d = qn_windows(
        s, &(qn_windows_opts){.kind = QN_WINDOWS_RECURSIVE, .look_back = 3, .horizon = 1});
    cr_assert_not_null(d, "%s", qn_context_message(ctx));
    qn_dataset_get(d, 2, x, y);
    cr_expect_float_eq(x[0][QN_WINDOW_LOG_SCALE], log(16.0 / 5 / 4), 1e-6);
    cr_expect_float_eq(y[3], 5 / 0.8, 1e-5);
}

Test(series, bad_windows_are_refused) {
    qn_series *s = ramp(10);
    static const double ones[] = {1, 1};
    const qn_windows_opts bad[] = {{.look_back = 0, .horizon = 1},
                                   {.look_back = 1, .horizon = -1},
                                   {.look_back = 1, .horizon = 1, .end = 11},
                                   {.look_back = 1, .horizon = 1, .start = -1},
                                   {.look_back = 1, .horizon = 1, .mean = ones},
                                   {.look_back = 1, .horizon = 10},
                                   {.look_back = 1, .horizon = 1, .start = 9}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_expect_null(qn_windows(s, &bad[i]), "%zu", i);
        cr_expect_eq(qn_context_error(ctx, NULL), QN_INVALID_ARGUMENT);
        qn_context_clear_error(ctx);
    }
    static const double means[] = {0, 0}, narrow[] = {1, 1e-39};
    const qn_windows_opts far = {
        .name = "ramp.csv", .look_back = 1, .horizon = 1, .mean = means, .std = narrow};
    cr_expect_null(qn_windows(s, &far));
    const char *message = qn_context_message(ctx);
    cr_expect(strstr(message, "ramp.csv:3: item 'b' at ") && strstr(message, "deviation 1e-39"),
              "%s", message);
    qn_context_clear_error(ctx);
    cr_expect_null(qn_windows(NULL, &bad[0]));
    cr_expect_null(qn_series_open(ctx, NULL, NULL));
}

Test(series, the_loss_leaves_out_what_was_not_observed) {
    const float p[] = {1, 2, 3, 4}, t[] = {2, NAN, 5, NAN};
    qn_tensor *prediction = qn_require_grad(qn_from_data(ctx, QN_F32, QN_SHAPE(2, 2), p));
    qn_tensor *loss = qn_observed_mse(prediction, qn_from_data(ctx, QN_F32, QN_SHAPE(2, 2), t));
    cr_expect_float_eq(qn_item(loss), 2.5, 1e-6);
    qn_backward(loss);
    float grad[4];
    qn_tensor_read(qn_grad(prediction), grad, sizeof(grad));
    cr_expect_arr_eq(grad, ((float[]){-1, 0, -2, 0}), sizeof(grad));
}

/* ---- measures --------------------------------------------------------------------------- */

Test(series, seasonal_naive) {
    double out[9];
    qn_series *s = ramp(12);
    cr_assert_eq(qn_seasonal_naive(s, 1, 10, 9, out), QN_OK);
    static const double expected[] = {30, 40, 50, 60, 70, 80, 90, 30, 40};
    cr_expect_arr_eq(out, expected, sizeof(out));
    cr_assert_eq(qn_seasonal_naive(s, 1, 5, 2, out), QN_OK);
    cr_expect_eq(out[1], 40, "less than a season: the last value");
    cr_expect_neq(qn_seasonal_naive(s, 1, 0, 2, out), QN_OK);
    qn_context_clear_error(ctx);
    cr_expect_float_eq(qn_seasonal_error(s, 1, 0, 12), 70, 1e-12);
    cr_expect(isnan(qn_seasonal_error(s, 1, 0, 7)));
}

Test(series, measures_as_amazon_forecast_defines_them) {
    qn_forecast_score score = {.levels = {0.1, 0.5, 0.9}, .count = 3};
    const double actual[] = {10, NAN, -4, 0}, mean[] = {12, 0, -4, 1};
    const double quantiles[] = {8, 11, 14, 0, 0, 0, -6, -4, -2, -1, 1, 2};
    qn_forecast_score_add(&score, 4, actual, mean, quantiles, 2);
    const qn_forecast_metrics m = qn_forecast_score_metrics(&score);
    /* P10: 0.1 (2 + 2 + 1); P50: 0.5 (1 + 0 + 1); P90: 0.1 (4 + 2 + 2); sum |y| = 14 */
    cr_expect_float_eq(m.wql[0], 2 * 0.5 / 14, 1e-12);
    cr_expect_float_eq(m.wql[1], 2 * 1.0 / 14, 1e-12);
    cr_expect_float_eq(m.wql[2], 2 * 0.8 / 14, 1e-12);
    cr_expect_float_eq(m.mean_wql, 2 * 2.3 / 14 / 3, 1e-12);
    cr_expect_float_eq(m.wape, 3.0 / 14, 1e-12);
    cr_expect_float_eq(m.rmse, sqrt(5.0 / 3), 1e-12);
    cr_expect_float_eq(m.mase, 0.5, 1e-12);
    cr_expect_float_eq(m.mape, 0.1, 1e-12);
    qn_forecast_score nothing = {.levels = {0.5}, .count = 1};
    cr_expect(isnan(qn_forecast_score_metrics(&nothing).mean_wql));
}
