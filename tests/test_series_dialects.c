/* test_series_dialects.c: time series as people have them: other names of columns, separators,
 * zones, columns that are no items, items in another order. */
#include "scratch.h"

TestSuite(series_dialects, .init = scratch_open, .fini = scratch_close);

static qn_series *open_text(const char *text, const qn_series_opts *opts) {
    return qn_series_open(ctx, scratch_write("series.csv", text, strlen(text)), opts);
}

/* Opens a text that is to be refused, with a message that has both words. */
static void refuse(const char *text, const char *first, const char *second) {
    cr_expect_null(open_text(text, NULL), "took:\n%s", text);
    const char *message = qn_context_message(ctx);
    cr_expect(strstr(message, first) && strstr(message, second), "'%s' lacks '%s' or '%s'", message,
              first, second);
    qn_context_clear_error(ctx);
}

/** What was guessed of a file has these words. */
static void expect_note(const qn_series *s, const char *words) {
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    cr_expect(strstr(qn_series_notes(s), words), "'%s' is not in '%s'", words, qn_series_notes(s));
}

Test(series_dialects, names_of_columns_that_others_use) {
    static const char *const headers[] = {"item_id,timestamp,demand", "unique_id,ds,y",
                                          "item,date,sales", "sku,time,units",
                                          "metric_name,timestamp,metric_value"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        char text[200];
        snprintf(text, sizeof(text), "%s\na,2020-01-01,1\nb,2020-01-01,2\na,2020-01-02,3\n",
                 headers[i]);
        qn_series *s = open_text(text, NULL);
        cr_assert_not_null(s, "%s: %s", headers[i], qn_context_message(ctx));
        cr_expect_eq(qn_series_info(s).format, QN_SERIES_ITEMS, "%s", headers[i]);
        cr_expect_eq(qn_series_info(s).items, 2, "%s", headers[i]);
        cr_expect_eq(qn_series_value(s, 0, 1), 3, "%s", headers[i]);
    }
    cr_assert_null(open_text("thing,when,much\na,2020-01-01,1\n",
                             &(qn_series_opts){.format = QN_SERIES_ITEMS}));
    cr_expect(strstr(qn_context_message(ctx), "neither a header with an item (item_id"), "%s",
              qn_context_message(ctx));
    qn_context_clear_error(ctx);
}

Test(series_dialects, a_column_that_numbers_the_lines_is_no_item) {
    qn_series *s = open_text(",date,y\n0,2020-01-01,5\n1,2020-01-02,6\n2,2020-01-03,7\n", NULL);
    expect_note(s, "column '' is left out: it numbers the lines");
    cr_expect_eq(qn_series_info(s).items, 1);
    cr_expect_str_eq(qn_series_name(s, 0), "y");
    s = open_text("Unnamed: 0,item_id,timestamp,target_value\n0,a,2020-01-01,5\n1,a,2020-01-02,6\n",
                  NULL);
    expect_note(s, "column 'Unnamed: 0' is left out");
    cr_expect_str_eq(qn_series_name(s, 0), "a");
    s = open_text(",date,y\n3,2020-01-01,5\n9,2020-01-02,6\n", NULL); /* values, it seems */
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    cr_expect_str_eq(qn_series_name(s, 0), "1");
}

Test(series_dialects, two_columns_of_one_name_are_refused) {
    refuse("date,y,y\n2020-01-01,1,2\n", "columns 2 and 3 are both named 'y'", ":1:");
}

Test(series_dialects, control_characters_are_in_no_name) {
    refuse("date,\033[31my\n2020-01-01,1\n", "column 2", "control character");
    refuse("date,a\302\233y\n2020-01-01,1\n", "column 2", "control character");
    refuse("item_id,timestamp,target_value\n\033]0;x\007,2020-01-01,1\n", ":2: item",
           "control character");
}

Test(series_dialects, hexadecimal_codes_are_no_numbers) {
    refuse("date,y\n2020-01-01,0x10\n2020-01-02,0x11\n", "no column holds numbers", "series.csv");
    refuse("date,y\n2020-01-01,1\n2020-01-02,2\n2020-01-03,0X1p3\n", "'0X1p3' is no number", ":4:");
}

Test(series_dialects, separators_and_decimal_commas) {
    qn_series *s = open_text("date;y\n2020-01-01;0,5\n2020-01-02;1.25\n2020-01-03;-3\n", NULL);
    expect_note(s, "columns are separated by semicolons");
    cr_expect_eq(qn_series_value(s, 0, 0), 0.5);
    cr_expect_eq(qn_series_value(s, 0, 1), 1.25);
    s = open_text("item_id\ttimestamp\tdemand\na, b\t2020-01-01\t7\na, b\t2020-01-02\t8\n", NULL);
    expect_note(s, "columns are separated by tabs");
    cr_expect_str_eq(qn_series_name(s, 0), "a, b");
    refuse("date,y\n2020-01-01,\"1,5\"\n2020-01-02,2\n2020-01-03,3\n", "'1,5' is no number", ":2:");
}

Test(series_dialects, a_column_that_changes_within_an_item_is_no_dimension) {
    qn_series *s = open_text("item_id,timestamp,promo,demand,store\n"
                             "a,2020-01-01,0,1,x\na,2020-01-02,1,2,x\n"
                             "a,2020-01-01,1,3,y\na,2020-01-02,0,4,y\n",
                             NULL);
    expect_note(s, "column 'promo' is left out: it changes within an item");
    cr_expect_eq(qn_series_info(s).items, 2);
    cr_expect_str_eq(qn_series_name(s, 1), "a|y");
    cr_expect_eq(qn_series_value(s, 1, 1), 4);
    cr_expect_eq(qn_series_info(s).missing, 0);
}

Test(series_dialects, clocks_keep_their_zone) {
    char time[32];
    qn_series *s =
        open_text("date,y\n2021-06-01 00:00:00+02:00,1\n2021-06-01 01:00:00+02:00,2\n", NULL);
    cr_assert_not_null(s, "%s", qn_context_message(ctx));
    cr_expect_str_eq(qn_series_time(s, 2, time), "2021-06-01 02:00:00+02:00");
    s = open_text("date,y\n2021-06-01 00:00:00-0930,1\n2021-06-01 01:00:00-0930,2\n", NULL);
    cr_expect_str_eq(qn_series_time(s, 2, time), "2021-06-01 02:00:00-09:30");
    /* Summer time begins between the second day and the third. */
    s = open_text("date,y\n2021-03-27T00:00:00+01:00,1\n2021-03-28T00:00:00+01:00,2\n"
                  "2021-03-29T00:00:00+02:00,3\n",
                  NULL);
    expect_note(s, "times are local ones");
    cr_expect_str_eq(qn_series_info(s).frequency, "D");
    cr_expect_str_eq(qn_series_time(s, 3, time), "2021-03-30");
    s = open_text("date,y\n2021-03-01T06:00:00+01:00,1\n2021-04-01T06:00:00+02:00,2\n"
                  "2021-05-01T06:00:00+02:00,3\n",
                  NULL);
    expect_note(s, "times are local ones");
    cr_expect_str_eq(qn_series_time(s, 3, time), "2021-06-01 06:00:00");
    s = open_text("date,y\n2021-03-28T01:00:00+01:00,1\n2021-03-28T03:00:00+02:00,2\n"
                  "2021-03-28T04:00:00+02:00,3\n",
                  NULL);
    expect_note(s, "times are in UTC");
    cr_expect_str_eq(qn_series_time(s, 0, time), "2021-03-28 00:00:00+00:00");
    cr_expect_eq(qn_series_info(s).missing, 0);
    refuse("date,y\n2021-03-28T01:00:00Z,1\n2021-03-28T02:00:00,2\n", "a time without a zone",
           ":3:");
}

Test(series_dialects, items_in_the_order_of_a_model) {
    static const char *const names[] = {"b", "c", "a"}, *const other[] = {"b", "c", "d"};
    static const char *const texts[] = {
        "date,a,b,c\n2020-01-01,1,2,3\n2020-01-02,4,5,6\n",
        "item_id,timestamp,y\na,2020-01-02,4\nc,2020-01-01,3\nc,2020-01-02,6\nb,2020-01-01,2\n"
        "b,2020-01-02,5\na,2020-01-01,1\n"};
    for (int i = 0; i < 2; i++) {
        qn_series *s = open_text(texts[i], NULL);
        cr_assert_not_null(s, "%s", qn_context_message(ctx));
        cr_assert_eq(qn_series_arrange(s, names, 3), QN_OK, "%s", qn_context_message(ctx));
        const double values[] = {5, 6, 4};
        for (int item = 0; item < 3; item++) {
            cr_expect_str_eq(qn_series_name(s, item), names[item]);
            cr_expect_eq(qn_series_value(s, item, 1), values[item]);
        }
        cr_expect_eq(qn_series_arrange(s, other, 3), QN_INVALID_ARGUMENT);
        cr_expect_str_eq(qn_context_message(ctx), "series: there is no item 'd'");
        qn_context_clear_error(ctx);
        cr_expect_eq(qn_series_arrange(s, names, 2), QN_INVALID_ARGUMENT);
        cr_expect_str_eq(qn_context_message(ctx),
                         "series: item 'a' is not among the 2 that are expected");
        qn_context_clear_error(ctx);
        cr_expect_str_eq(qn_series_name(s, 0), "b");
    }
}
