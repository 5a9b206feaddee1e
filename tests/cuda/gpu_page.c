/* gpu_page.c: what first_day.sh found, as one JSON and one HTML page, and figures out of
 * quern-bench's.
 *
 *     gpu_page write LINES TITLE JSON HTML
 *     gpu_page figures BENCH_JSON
 *
 * A line has section, name, verdict (pass, fail, skipped or figure), figure, and words, between
 * tabs. The page is in the style of training reports. `figures` prints lines without a section. */
#define _DEFAULT_SOURCE /* strsep */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "train/report.h"

enum { SECTION, NAME, VERDICT, FIGURE, WORDS, FIELDS };
enum { BAD_INPUT = 2 };

static const char *const keys[FIELDS] = {"section", "name", "verdict", "figure", "words"};
static const char *const verdicts[] = {"pass", "fail", "skipped", "figure"};
enum { VERDICTS = sizeof(verdicts) / sizeof(verdicts[0]) };

static const char *text_of(const json_t *line, int field) {
    const char *text = json_string_value(json_object_get(line, keys[field]));
    return text ? text : "";
}

/* ---- reading --------------------------------------------------------------------------------- */

/** A line as an object; what is no UTF-8 is left out. */
static json_t *read_line(char *text) {
    json_t *line = json_object();
    text[strcspn(text, "\n")] = '\0';
    for (int i = 0; i < FIELDS; i++) {
        char *field = i < WORDS ? strsep(&text, "\t") : text;
        json_t *value = json_string(field ? field : "");
        json_object_set_new(line, keys[i], value ? value : json_string("(not UTF-8)"));
    }
    return line;
}

static json_t *read_lines(const char *path) {
    FILE *file = fopen(path, "r");
    json_t *lines = file ? json_array() : NULL;
    char *text = NULL;
    size_t size = 0;
    while (file && getline(&text, &size, file) > 0)
        json_array_append_new(lines, read_line(text));
    free(text);
    if (file)
        fclose(file);
    return lines;
}

static int count(const json_t *lines, const char *verdict) {
    int found = 0;
    size_t i;
    const json_t *line;
    json_array_foreach(lines, i, line) found += strcmp(text_of(line, VERDICT), verdict) == 0;
    return found;
}

/* ---- the page -------------------------------------------------------------------------------- */

static void write_tiles(FILE *out, const json_t *lines) {
    static const char *const words[VERDICTS] = {"passed", "failed", "skipped", "figures"};
    fputs("<section class=\"tiles\">\n", out);
    for (int i = 0; i < VERDICTS; i++)
        fprintf(out, "<div class=\"tile\"><b>%d</b><span>%s</span></div>\n",
                count(lines, verdicts[i]), words[i]);
    fputs("</section>\n", out);
}

static void write_line(FILE *out, const json_t *line) {
    const char *verdict = text_of(line, VERDICT);
    fprintf(out, "<tr><td%s>", strcmp(verdict, "fail") == 0 ? " class=\"wrong\"" : "");
    qni_html_text(out, strcmp(verdict, "figure") == 0 ? "" : verdict);
    fputs("</td><td>", out);
    qni_html_text(out, text_of(line, FIGURE));
    fputs("</td><td><b>", out);
    qni_html_text(out, text_of(line, NAME));
    fputs("</b><br>", out);
    qni_html_text(out, text_of(line, WORDS));
    fputs("</td></tr>\n", out);
}

/** A table a section, in the order of the lines. */
static void write_sections(FILE *out, const json_t *lines) {
    const char *open = NULL;
    size_t i;
    const json_t *line;
    json_array_foreach(lines, i, line) {
        const char *section = text_of(line, SECTION);
        if (!open || strcmp(open, section) != 0) {
            fputs(open ? "</table></div></section>\n" : "", out);
            fputs("<section><h2>", out);
            qni_html_text(out, section);
            fputs("</h2>\n<div class=\"scroll\"><table class=\"words\">\n", out);
        }
        open = section;
        write_line(out, line);
    }
    fputs(open ? "</table></div></section>\n" : "", out);
}

static bool write_page(const char *path, const char *title, const char *date, const json_t *lines) {
    FILE *out = fopen(path, "w");
    if (!out)
        return false;
    qni_report_head(out, title);
    fputs("<h1>", out);
    qni_html_text(out, title);
    fprintf(out, "</h1>\n<p class=\"sub\">%s, Quern %s</p>\n", date, qn_version());
    write_tiles(out, lines);
    write_sections(out, lines);
    fputs("</main></body></html>\n", out);
    bool written = !ferror(out);
    return fclose(out) == 0 && written;
}

/** Writes both files; 1 where a line says fail. */
static int write_both(const char *source, const char *title, const char *json, const char *html) {
    char date[32] = "";
    time_t now = time(NULL);
    struct tm parts;
    json_t *lines = read_lines(source);
    if (!lines) {
        fprintf(stderr, "gpu_page: %s: cannot be read\n", source);
        return BAD_INPUT;
    }
    if (localtime_r(&now, &parts))
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &parts);
    json_t *document = json_pack("{s:s, s:s, s:s, s:o}", "title", title, "date", date, "quern",
                                 qn_version(), "lines", lines); /* takes the lines */
    for (int i = 0; i < VERDICTS; i++)
        json_object_set_new(document, verdicts[i], json_integer(count(lines, verdicts[i])));
    int code = count(lines, "fail") > 0;
    if (json_dump_file(document, json, JSON_INDENT(1)) != 0 ||
        !write_page(html, title, date, lines)) {
        fprintf(stderr, "gpu_page: %s or %s cannot be written\n", json, html);
        code = BAD_INPUT;
    }
    json_decref(document);
    return code;
}

/* ---- figures of quern-bench --------------------------------------------------------------------
 */

static double number(const json_t *row, const char *key) {
    return json_number_value(json_object_get(row, key));
}

static void print_figure(const json_t *row) {
    const char *model = json_string_value(json_object_get(row, "model"));
    const char *device = json_string_value(json_object_get(row, "device"));
    printf("%s on %s\tfigure\t", model ? model : "?", device ? device : "?");
    if (json_object_get(row, "rate"))
        printf("%.0f samples/s\t%.0f to %.0f, %.3f ms a step, batch %.0f", number(row, "rate"),
               number(row, "rate_least"), number(row, "rate_most"), number(row, "ms"),
               number(row, "batch"));
    else
        printf("%.2f s an epoch\taccuracy %.4f after %.0f epochs, batch %.0f",
               number(row, "epoch_seconds"), number(row, "accuracy"), number(row, "epochs"),
               number(row, "batch"));
    if (number(row, "fallbacks") > 0)
        printf(", %.0f calls on the host", number(row, "fallbacks"));
    putchar('\n');
}

static int print_figures(const char *path) {
    json_error_t error;
    json_t *document = json_load_file(path, 0, &error);
    size_t i;
    const json_t *row, *rows = json_object_get(document, "rows");
    if (!document)
        fprintf(stderr, "gpu_page: %s: %s\n", path, error.text);
    json_array_foreach(rows, i, row) print_figure(row);
    json_decref(document);
    return document ? 0 : BAD_INPUT;
}

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "write") == 0)
        return write_both(argv[2], argv[3], argv[4], argv[5]);
    if (argc == 3 && strcmp(argv[1], "figures") == 0)
        return print_figures(argv[2]);
    fputs("gpu_page: expected write LINES TITLE JSON HTML, or figures BENCH_JSON\n", stderr);
    return BAD_INPUT;
}
