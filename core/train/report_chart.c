/* report_chart.c: line charts of a run as inline SVG. */
#include <math.h>

#include "report.h"

/* The drawing area within the picture, in its own units. */
#define WIDTH 560
#define HEIGHT 300
#define LEFT 62
#define RIGHT 18
#define TOP 14
#define BOTTOM 40

/** One line of a chart: a number of each epoch. */
typedef struct series {
    const char *name, *style; /* style: a class of the sheet */
    double (*value)(const qni_epoch *epoch);
} series;

typedef struct chart {
    const char *title;
    const series *lines;
    int line_count;
    const qni_epoch *epochs;
    int epoch_count;
    double low, high, step; /* of the vertical axis */
    int digits;             /* of its labels, after the point */
} chart;

static double train_loss(const qni_epoch *epoch) { return epoch->train_loss; }
static double test_loss(const qni_epoch *epoch) { return epoch->test_loss; }
static double test_accuracy(const qni_epoch *epoch) { return 100 * epoch->test_accuracy; }

/** The distance between grid lines: 1, 2 or 5 times a power of ten, about five lines in all. */
static double grid_step(double range) {
    double raw = range / 5, power = pow(10, floor(log10(raw))), times = raw / power;
    return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

/** Sets the vertical axis to cover every known value, rounded out to grid lines. False where
 * nothing is known. */
static bool fit_axis(chart *c) {
    double low = INFINITY, high = -INFINITY;
    for (int line = 0; line < c->line_count; line++)
        for (int i = 0; i < c->epoch_count; i++) {
            double value = c->lines[line].value(&c->epochs[i]);
            if (isfinite(value)) {
                low = fmin(low, value);
                high = fmax(high, value);
            }
        }
    if (low > high)
        return false;
    double range = high - low;
    if (range < 1e-6 * fabs(high) || range == 0)
        range = fabs(high) > 0 ? 0.1 * fabs(high) : 1;
    c->step = grid_step(range);
    c->low = floor(low / c->step) * c->step;
    c->high = ceil(high / c->step) * c->step;
    if (c->high <= c->low)
        c->high = c->low + c->step;
    c->digits = (int)fmax(0, ceil(-log10(c->step) - 1e-9));
    return true;
}

static double x_of(const chart *c, int epoch) {
    double span = WIDTH - LEFT - RIGHT;
    return c->epoch_count > 1 ? LEFT + span * epoch / (c->epoch_count - 1) : LEFT + span / 2;
}

static double y_of(const chart *c, double value) {
    return TOP + (HEIGHT - TOP - BOTTOM) * (c->high - value) / (c->high - c->low);
}

static void write_axes(FILE *out, const chart *c) {
    int lines = (int)lround((c->high - c->low) / c->step);
    for (int i = 0; i <= lines; i++) {
        double value = c->low + i * c->step, y = y_of(c, value);
        fprintf(out,
                "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">%.*f</text>\n",
                i ? "grid" : "axis", LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, c->digits, value);
    }
    int every = 1 + (c->epoch_count - 1) / 12;
    for (int i = 0; i < c->epoch_count; i++)
        if ((i + 1) % every == 0 || c->epoch_count == 1)
            fprintf(out,
                    "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%d</text>\n",
                    x_of(c, i), HEIGHT - BOTTOM + 18, i + 1);
    fprintf(out, "<text class=\"tick\" text-anchor=\"middle\" x=\"%d\" y=\"%d\">epoch</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4);
}

static void write_line(FILE *out, const chart *c, const series *line) {
    fprintf(out, "<polyline class=\"line %s\" points=\"", line->style);
    for (int i = 0; i < c->epoch_count; i++) {
        double value = line->value(&c->epochs[i]);
        if (isfinite(value))
            fprintf(out, "%.1f,%.1f ", x_of(c, i), y_of(c, value));
    }
    fputs("\"/>\n", out);
    for (int i = 0; i < c->epoch_count; i++) {
        double value = line->value(&c->epochs[i]);
        if (isfinite(value))
            fprintf(out,
                    "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>epoch %d: %s "
                    "%.*f</title></circle>\n",
                    line->style, x_of(c, i), y_of(c, value), i + 1, line->name, c->digits + 2,
                    value);
    }
}

static void write_chart(FILE *out, chart *c) {
    if (!fit_axis(c))
        return;
    fprintf(out, "<figure class=\"chart\"><figcaption>%s", c->title);
    for (int i = 0; i < c->line_count && c->line_count > 1; i++)
        fprintf(out, "<span class=\"key\"><i class=\"%s\"></i>%s</span>", c->lines[i].style,
                c->lines[i].name);
    fprintf(out, "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n",
            WIDTH, HEIGHT, c->title);
    write_axes(out, c);
    for (int i = 0; i < c->line_count; i++)
        write_line(out, c, &c->lines[i]);
    fputs("</svg></figure>\n", out);
}

void qni_report_charts(FILE *out, const qni_fit *fit) {
    static const series losses[] = {{"train", "first", train_loss}, {"test", "second", test_loss}};
    static const series accuracies[] = {{"test accuracy", "second", test_accuracy}};
    int known = fit->opts.validation ? 2 : 1;
    chart loss = {"Loss", losses, known, fit->epochs, fit->epoch_count, 0, 0, 0, 0};
    chart accuracy = {"Test accuracy, %", accuracies, 1, fit->epochs, fit->epoch_count, 0, 0, 0, 0};
    fputs("<section class=\"charts\">\n", out);
    write_chart(out, &loss);
    write_chart(out, &accuracy);
    fputs("</section>\n", out);
}
