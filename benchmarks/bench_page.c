/* bench_page.c: a document as one HTML page: machine, charts, table. Nothing is loaded from
 * elsewhere. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_table.h"

enum { BAR_HEIGHT = 18, BAR_LEFT = 260, BAR_WIDTH = 460, ROOF_WIDTH = 640, ROOF_HEIGHT = 380 };

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;"
    "color:#222;background:#fff}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}"
    "table{border-collapse:collapse;font-size:13px}td,th{padding:.15rem .6rem;border-bottom:1px "
    "solid #ddd;text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left}"
    "svg text{font:12px system-ui,sans-serif;fill:#222}.bar{fill:#3b6ea5}.spread{stroke:#222;"
    "stroke-width:1.5}.axis{stroke:#888}.roof{stroke:#b5452c;stroke-width:2;fill:none}"
    ".dot{fill:#3b6ea5;opacity:.8}.worse{color:#b5452c}.better{color:#2d7d46}"
    "@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}svg text{fill:#ddd}"
    "td,th{border-color:#444}.spread{stroke:#ddd}}";

static void escaped(FILE *out, const char *text) {
    for (; *text; text++) {
        const char *plain = strchr("<>&\"", *text);
        static const char *const codes[] = {"&lt;", "&gt;", "&amp;", "&quot;"};
        if (plain)
            fputs(codes[plain - "<>&\""], out);
        else
            fputc(*text, out);
    }
}

static double number(const json_t *row, const char *key, const char *suffix) {
    char name[64];
    snprintf(name, sizeof(name), "%s%s", key, suffix);
    const json_t *value = json_object_get(row, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* ---- bars ------------------------------------------------------------------------------------ */

static double greatest(const json_t *rows, const char *key) {
    double most = 0;
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) {
        most = fmax(most, number(row, key, ""));
        most = fmax(most, number(row, key, "_most")); /* fmax passes over NaN */
    }
    return most;
}

static void bar(FILE *out, const bench_layout *layout, const json_t *row, double most, int y) {
    double value = number(row, layout->bars, "");
    if (isnan(value))
        return;
    double least = number(row, layout->bars, "_least"), top = number(row, layout->bars, "_most");
    char *name = bench_row_name(layout, row);
    int middle = y + BAR_HEIGHT / 2;
    fprintf(out, "<text x='%d' y='%d' text-anchor='end'>", BAR_LEFT - 8, middle + 4);
    escaped(out, name);
    fprintf(out, "</text><rect class='bar' x='%d' y='%d' width='%.1f' height='%d'/>", BAR_LEFT,
            y + 2, BAR_WIDTH * value / most, BAR_HEIGHT - 4);
    if (!isnan(least) && !isnan(top))
        fprintf(out, "<line class='spread' x1='%.1f' x2='%.1f' y1='%d' y2='%d'/>",
                BAR_LEFT + BAR_WIDTH * least / most, BAR_LEFT + BAR_WIDTH * top / most, middle,
                middle);
    fprintf(out, "<text x='%.1f' y='%d'>%.4g</text>\n",
            BAR_LEFT + 6 + BAR_WIDTH * fmax(value, isnan(top) ? value : top) / most, middle + 4,
            value);
    free(name);
}

static void bars(FILE *out, const bench_layout *layout, const json_t *rows) {
    double most = greatest(rows, layout->bars);
    if (most <= 0)
        return;
    int height = (int)json_array_size(rows) * BAR_HEIGHT + 8;
    fprintf(out, "<h2>%s</h2><svg width='%d' height='%d' role='img'>\n", layout->bars_title,
            BAR_LEFT + BAR_WIDTH + 90, height);
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) bar(out, layout, row, most, (int)i * BAR_HEIGHT + 4);
    fputs("</svg>\n", out);
}

/* ---- roofline -------------------------------------------------------------------------------- */

/* Both axes are logarithmic: operations a byte from 2^-4 to 2^12, GFLOP/s
 * from 2^-2 up to the peak. */
enum { FIRST_X = -4, LAST_X = 12, FIRST_Y = -2, MARGIN = 44 };

static double place_x(double intensity) {
    return MARGIN + (ROOF_WIDTH - 2 * MARGIN) * (log2(intensity) - FIRST_X) / (LAST_X - FIRST_X);
}

static double place_y(double gflops, double peak) {
    double last = log2(peak) + 1;
    return ROOF_HEIGHT - MARGIN -
           (ROOF_HEIGHT - 2 * MARGIN) * (log2(gflops) - FIRST_Y) / (last - FIRST_Y);
}

static void roof(FILE *out, double peak, double gbs) {
    double low = exp2(FIRST_X), ridge = peak / gbs, high = exp2(LAST_X);
    fprintf(out,
            "<polyline class='roof' points='%.1f,%.1f %.1f,%.1f %.1f,%.1f'/>"
            "<text x='%.1f' y='%.1f' text-anchor='end'>%.0f GFLOP/s</text>"
            "<text x='%d' y='%d'>operations a byte</text><text x='4' y='14'>GFLOP/s; the slope is "
            "%.1f GB/s</text>",
            place_x(low), place_y(fmax(low * gbs, exp2(FIRST_Y)), peak), place_x(ridge),
            place_y(peak, peak), place_x(high), place_y(peak, peak), place_x(high),
            place_y(peak, peak) - 6, peak, ROOF_WIDTH / 2, ROOF_HEIGHT - 8, gbs);
    for (int x = FIRST_X; x <= LAST_X; x += 4)
        fprintf(out, "<text x='%.1f' y='%d' text-anchor='middle'>%g</text>", place_x(exp2(x)),
                ROOF_HEIGHT - MARGIN + 16, exp2(x));
    fprintf(out, "<line class='axis' x1='%d' x2='%d' y1='%d' y2='%d'/>", MARGIN,
            ROOF_WIDTH - MARGIN, ROOF_HEIGHT - MARGIN, ROOF_HEIGHT - MARGIN);
}

/** Operations that count arithmetic, under the roof of the limits that were measured: of one number
 * of threads, the last. */
static void roofline(FILE *out, const bench_layout *layout, const json_t *document) {
    const json_t *all = json_object_get(document, "limits");
    const json_t *limits = json_array_get(all, json_array_size(all) - 1);
    double peak = fmax(number(limits, "fma_gflops", ""), number(limits, "sgemm_gflops", ""));
    double gbs = number(limits, "copy_gbs", "");
    const json_t *rows = json_object_get(document, "rows"), *row;
    if (strcmp(layout->command, "ops") != 0 || isnan(peak) || isnan(gbs))
        return;
    fprintf(out, "<h2>Roofline</h2><svg width='%d' height='%d' role='img'>\n", ROOF_WIDTH,
            ROOF_HEIGHT);
    roof(out, peak, gbs);
    size_t i;
    json_array_foreach(rows, i, row) {
        double gflops = number(row, "gflops", "");
        double intensity = number(row, "operations", "") / number(row, "bytes", "");
        bool here = number(row, "threads", "") == number(limits, "threads", "");
        char *name = here && !isnan(gflops) ? bench_row_name(layout, row) : NULL;
        if (!name)
            continue;
        fprintf(out, "<circle class='dot' r='5' cx='%.1f' cy='%.1f'><title>", place_x(intensity),
                place_y(fmax(gflops, exp2(FIRST_Y)), peak));
        escaped(out, name);
        fprintf(out, ": %.1f GFLOP/s at %.1f operations a byte</title></circle>\n", gflops,
                intensity);
        free(name);
    }
    fputs("</svg>\n", out);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void facts(FILE *out, const json_t *object) {
    const char *key;
    json_t *value;
    fputs("<table>", out);
    json_object_foreach((json_t *)object, key, value) {
        if (!json_is_string(value) && !json_is_number(value))
            continue;
        fprintf(out, "<tr><td>%s</td><td style='text-align:left'>", key);
        if (json_is_string(value))
            escaped(out, json_string_value(value));
        else
            fprintf(out, "%.6g", json_number_value(value));
        fputs("</td></tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void table(FILE *out, const bench_layout *layout, const json_t *rows) {
    size_t i;
    const json_t *row;
    fputs("<h2>All figures</h2><table><tr>", out);
    for (const bench_column *c = layout->columns; c->key; c++) {
        fputs("<th>", out);
        escaped(out, c->title);
        fputs("</th>", out);
    }
    fputs("</tr>\n", out);
    json_array_foreach(rows, i, row) {
        fputs("<tr>", out);
        for (const bench_column *c = layout->columns; c->key; c++) {
            char cell[256];
            bench_cell(c, row, cell, sizeof(cell));
            bool marked =
                strcmp(c->key, "change") == 0 && json_is_true(json_object_get(row, "beyond"));
            bool better = (number(row, "change", "") > 1) == layout->more_is_better;
            fprintf(out, "<td%s>", !marked ? "" : better ? " class='better'" : " class='worse'");
            escaped(out, cell);
            fputs("</td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void instances(FILE *out, const json_t *list) {
    static const bench_column columns[] = {
        {"name", "instance", 0, 0, 1, ""},
        {"vcpus", "vCPUs", 0, 0, 1, ""},
        {"memory_gib", "GiB", 0, 0, 1, ""},
        {"accelerator", "accelerator", 0, 0, 1, ""},
        {"price", "$/hour", 0, 4, 1, ""},
        {"date", "price of", 0, 0, 1, ""},
        {0},
    };
    static const bench_layout layout = {.columns = columns, .command = ""};
    if (json_array_size(list) == 0)
        return;
    fputs("<h2>Instances and their prices</h2>", out);
    table(out, &layout, list);
}

bool bench_write_page(const char *path, const bench_layout *layout, const json_t *document) {
    FILE *out = fopen(path, "w");
    if (!out) {
        bench_io_error(path, errno);
        return false;
    }
    const json_t *rows = json_object_get(document, "rows"), *limits, *limit;
    fprintf(out,
            "<!doctype html><html lang='en'><meta charset='utf-8'><title>quern-bench %s</title>"
            "<style>%s</style><h1>quern-bench %s</h1>\n",
            layout->command, style, layout->command);
    facts(out, json_object_get(document, "machine"));
    bars(out, layout, rows);
    roofline(out, layout, document);
    table(out, layout, rows);
    limits = json_object_get(document, "limits");
    size_t i;
    json_array_foreach(limits, i, limit) {
        fputs(i ? "" : "<h2>What the machine gives at best</h2>", out);
        facts(out, limit);
    }
    instances(out, json_object_get(document, "instances"));
    fputs("</html>\n", out);
    bool written = fflush(out) == 0 && !ferror(out);
    if (fclose(out) != 0 || !written) {
        bench_io_error(path, errno);
        return false;
    }
    return true;
}
