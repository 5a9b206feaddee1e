/* report_chart.c: line charts with a band as inline SVG. */
#include <math.h>

#include "report.h"

/* The drawing area within the picture, in its own units. */
#define WIDTH 560
#define HEIGHT 300
#define LEFT 62
#define RIGHT 18
#define TOP 14
#define BOTTOM 40

/** Most points that are drawn as dots, and most that are named: by a number, by a name. */
#define MOST_DOTS 60
#define MOST_NUMBERS 12
#define MOST_NAMES 4

/** A chart with its vertical axis. */
typedef struct drawing {
    FILE *out;
    const qn_chart *chart;
    int lines;
    double low, high, step;
    int digits; /* of its labels, after the point */
} drawing;

/** The style sheet's class for a line: the second is for what the chart is about. */
static const char *style_of(const drawing *d, int line) {
    static const char *const styles[QN_CHART_LINES] = {"first", "second", "third"};
    return styles[d->lines == 1 ? 1 : line];
}

/** The distance between grid lines: 1, 2 or 5 times a power of ten, about five lines in all. */
static double grid_step(double range) {
    double raw = range / 5, power = pow(10, floor(log10(raw))), times = raw / power;
    return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

static void widen(drawing *d, const double *values) {
    for (int i = 0; values && i < d->chart->count; i++)
        if (isfinite(values[i])) {
            d->low = fmin(d->low, values[i]);
            d->high = fmax(d->high, values[i]);
        }
}

/** Sets the vertical axis to cover every known value, rounded out to grid lines. False where
 * nothing is known. */
static bool fit_axis(drawing *d) {
    d->low = INFINITY;
    d->high = -INFINITY;
    for (int line = 0; line < d->lines; line++)
        widen(d, d->chart->lines[line].values);
    widen(d, d->chart->low);
    widen(d, d->chart->high);
    if (d->low > d->high)
        return false;
    double range = d->high - d->low;
    if (range < 1e-6 * fabs(d->high) || range == 0)
        range = fabs(d->high) > 0 ? 0.1 * fabs(d->high) : 1;
    d->step = grid_step(range);
    d->low = floor(d->low / d->step) * d->step;
    d->high = ceil(d->high / d->step) * d->step;
    if (d->high <= d->low)
        d->high = d->low + d->step;
    d->digits = (int)fmax(0, ceil(-log10(d->step) - 1e-9));
    return true;
}

static double x_of(const drawing *d, int point) {
    double span = WIDTH - LEFT - RIGHT;
    int count = d->chart->count;
    return count > 1 ? LEFT + span * point / (count - 1) : LEFT + span / 2;
}

static double y_of(const drawing *d, double value) {
    return TOP + (HEIGHT - TOP - BOTTOM) * (d->high - value) / (d->high - d->low);
}

/* ---- axes ------------------------------------------------------------------------------------ */

static void write_grid(const drawing *d) {
    int lines = (int)lround((d->high - d->low) / d->step);
    for (int i = 0; i <= lines; i++) {
        double value = d->low + i * d->step, y = y_of(d, value);
        fprintf(d->out,
                "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">%.*f</text>\n",
                i ? "grid" : "axis", LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, d->digits, value);
    }
}

static void write_point_name(const drawing *d, int point) {
    if (d->chart->points)
        qni_html_text(d->out, d->chart->points[point]);
    else
        fprintf(d->out, "%d", point + 1);
}

static void write_points(const drawing *d) {
    const int count = d->chart->count, most = d->chart->points ? MOST_NAMES : MOST_NUMBERS;
    const int every = 1 + (count - 1) / most;
    /* Names are wide: they stand in the middle of their part, so that none is cut. */
    const int place = d->chart->points ? every / 2 : every - 1;
    for (int i = 0; i < count; i++)
        if (i % every == place) {
            fprintf(d->out, "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">",
                    x_of(d, i), HEIGHT - BOTTOM + 18);
            write_point_name(d, i);
            fputs("</text>\n", d->out);
        }
    if (!d->chart->axis)
        return;
    fprintf(d->out, "<text class=\"tick\" text-anchor=\"middle\" x=\"%d\" y=\"%d\">",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4);
    qni_html_text(d->out, d->chart->axis);
    fputs("</text>\n", d->out);
}

/* ---- lines and the band ----------------------------------------------------------------- */

static void write_corner(const drawing *d, int point, double value) {
    if (isfinite(value))
        fprintf(d->out, "%.1f,%.1f ", x_of(d, point), y_of(d, value));
}

/** Along the lower limit and back along the upper one. */
static void write_band(const drawing *d) {
    const qn_chart *chart = d->chart;
    if (!chart->low || !chart->high)
        return;
    fputs("<polygon class=\"band\" points=\"", d->out);
    for (int i = 0; i < chart->count; i++)
        write_corner(d, i, chart->low[i]);
    for (int i = chart->count; i-- > 0;)
        write_corner(d, i, chart->high[i]);
    fputs("\"/>\n", d->out);
}

static void write_line(const drawing *d, int line) {
    const double *values = d->chart->lines[line].values;
    fprintf(d->out, "<polyline class=\"line %s\" points=\"", style_of(d, line));
    for (int i = 0; i < d->chart->count; i++)
        write_corner(d, i, values[i]);
    fputs("\"/>\n", d->out);
    for (int i = 0; i < d->chart->count && d->chart->count <= MOST_DOTS; i++)
        if (isfinite(values[i])) {
            fprintf(d->out, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>",
                    style_of(d, line), x_of(d, i), y_of(d, values[i]));
            qni_html_text(d->out, d->chart->axis ? d->chart->axis : "");
            fputs(d->chart->axis ? " " : "", d->out);
            write_point_name(d, i);
            fputs(": ", d->out);
            qni_html_text(d->out, d->chart->lines[line].name);
            fprintf(d->out, " %.*f</title></circle>\n", d->digits + 2, values[i]);
        }
}

static void write_key(FILE *out, const char *style, const char *name) {
    fprintf(out, "<span class=\"key\"><i class=\"%s\"></i>", style);
    qni_html_text(out, name);
    fputs("</span>", out);
}

static int line_count(const qn_chart *chart) {
    int count = 0;
    while (count < QN_CHART_LINES && chart->lines[count].values)
        count++;
    return count;
}

void qni_chart_write(FILE *out, const qn_chart *chart) {
    drawing d = {.out = out, .chart = chart, .lines = line_count(chart)};
    if (!fit_axis(&d))
        return;
    fputs("<figure class=\"chart\"><figcaption>", out);
    qni_html_text(out, chart->title ? chart->title : "");
    for (int i = 0; i < d.lines && (d.lines > 1 || chart->band); i++)
        write_key(out, style_of(&d, i), chart->lines[i].name);
    if (chart->band)
        write_key(out, "band", chart->band);
    fprintf(out, "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH,
            HEIGHT);
    qni_html_text(out, chart->title ? chart->title : "");
    fputs("\">\n", out);
    void *locale = qn_locale_enter();
    write_band(&d);
    write_grid(&d);
    write_points(&d);
    for (int i = 0; i < d.lines; i++)
        write_line(&d, i);
    qn_locale_leave(locale);
    fputs("</svg></figure>\n", out);
}
