/* report_confusion.c: confusion matrix, precision and recall. */
#include <math.h>

#include "report.h"

/** Most classes whose matrix fits a page; with more only the per-class table is shown. */
#define MATRIX_CLASSES 40

static int64_t at(const qni_inspection *found, int64_t target, int64_t predicted) {
    return found->confusion[target * found->classes + predicted];
}

/** One cell, shaded by its share of the row: what is right in one colour, mistakes in another. */
static void write_cell(FILE *out, const qni_inspection *found, int64_t target, int64_t predicted,
                       int64_t row_sum) {
    int64_t count = at(found, target, predicted);
    if (count == 0) {
        fputs("<td></td>", out);
        return;
    }
    double share = (double)count / (double)row_sum;
    bool right = target == predicted;
    /* A handful of mistakes among thousands should still be seen. */
    double shade = right ? 70 * share : 12 + 60 * sqrt(share);
    fprintf(out, "<td class=\"%s\" style=\"--s:%.0f%%\">%lld</td>", right ? "hit" : "miss", shade,
            (long long)count);
}

static void write_matrix(FILE *out, const qn_dataset_desc *info, const qni_inspection *found) {
    fputs("<div class=\"scroll\"><table class=\"matrix\"><caption>rows: true class; columns: "
          "predicted"
          "</caption>\n<tr><th></th>",
          out);
    for (int64_t i = 0; i < found->classes; i++) {
        fputs("<th>", out);
        qni_html_class(out, info, i);
        fputs("</th>", out);
    }
    fputs("</tr>\n", out);
    for (int64_t target = 0; target < found->classes; target++) {
        int64_t sum = 0;
        for (int64_t i = 0; i < found->classes; i++)
            sum += at(found, target, i);
        fputs("<tr><th>", out);
        qni_html_class(out, info, target);
        fputs("</th>", out);
        for (int64_t i = 0; i < found->classes; i++)
            write_cell(out, found, target, i, sum);
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n", out);
}

static void write_percent(FILE *out, int64_t part, int64_t whole) {
    if (whole > 0)
        fprintf(out, "<td>%.2f</td>", 100 * (double)part / (double)whole);
    else
        fputs("<td>&ndash;</td>", out);
}

static void write_classes(FILE *out, const qn_dataset_desc *info, const qni_inspection *found) {
    fputs("<div class=\"scroll\"><table class=\"numbers\"><tr><th>class</th><th>samples</th>"
          "<th>precision %</th><th>recall %</th><th>F1 %</th></tr>\n",
          out);
    for (int64_t c = 0; c < found->classes; c++) {
        int64_t hits = at(found, c, c), row = 0, column = 0;
        for (int64_t i = 0; i < found->classes; i++) {
            row += at(found, c, i);
            column += at(found, i, c);
        }
        fputs("<tr><td>", out);
        qni_html_class(out, info, c);
        fprintf(out, "</td><td>%lld</td>", (long long)row);
        write_percent(out, hits, column);
        write_percent(out, hits, row);
        write_percent(out, 2 * hits, row + column);
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n", out);
}

void qni_report_confusion(FILE *out, const char *set, const qn_dataset_desc *info,
                          const qni_inspection *found) {
    fprintf(out, "<section><h2>Classes, %s data</h2>\n<div class=\"columns wide\">\n", set);
    if (found->classes <= MATRIX_CLASSES)
        write_matrix(out, info, found);
    write_classes(out, info, found);
    fputs("</div></section>\n", out);
}
