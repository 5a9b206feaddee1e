/* report_program.c: what a program adds to the end of its run: numbers for log and page, and
 * sections of the page, which are written to memory until the page is. */
#include <stdlib.h>
#include <string.h>

#include "report.h"

qn_status qni_report_open(qni_fit *fit) {
    qn_report *report = fit->report = calloc(1, sizeof(*report));
    if (report)
        report->out = open_memstream(&report->page, &report->size);
    if (!report || !report->out)
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "report: out of memory");
    report->ctx = fit->ctx;
    return QN_OK;
}

void qni_report_close(qni_fit *fit) {
    qn_report *report = fit->report;
    if (report && report->out)
        fclose(report->out);
    if (report) {
        free(report->page);
        free(report->numbers);
    }
    free(report);
    fit->report = NULL;
}

qn_status qn_report_number(qn_report *report, const char *key, double value) {
    if (!report || !key)
        return QN_INVALID_ARGUMENT;
    size_t room = (size_t)report->number_count + 1;
    qni_number *numbers = realloc(report->numbers, room * sizeof(*numbers));
    if (!numbers)
        return qn_context_fail(report->ctx, QN_OUT_OF_MEMORY, "report: out of memory for '%s'",
                               key);
    report->numbers = numbers;
    qni_number *number = &numbers[report->number_count++];
    number->value = value;
    snprintf(number->key, sizeof(number->key), "%s", key);
    return QN_OK;
}

/** Ends what stands open within a section before something of another kind begins. */
static void change(qn_report *report, qni_report_part part) {
    static const char *const ends[] = {
        [QNI_REPORT_TABLE] = "</table></div>\n", [QNI_REPORT_CHARTS] = "</div>\n"};
    if (report->open == QNI_REPORT_TABLE || report->open == QNI_REPORT_CHARTS)
        fputs(ends[report->open], report->out);
    if (report->open == QNI_REPORT_NOTHING && part != QNI_REPORT_NOTHING)
        fputs("<section>", report->out);
    report->open = part;
}

/** Whether all that was written found room. */
static qn_status written(const qn_report *report) {
    if (!ferror(report->out))
        return QN_OK;
    return qn_context_fail(report->ctx, QN_OUT_OF_MEMORY, "report: out of memory for its sections");
}

static void end_section(qn_report *report) {
    change(report, QNI_REPORT_NOTHING);
    fputs("</section>\n", report->out);
}

qn_status qni_report_sections(FILE *out, qn_report *report) {
    if (report->open != QNI_REPORT_NOTHING)
        end_section(report);
    if (fflush(report->out))
        return written(report);
    fwrite(report->page, 1, report->size, out);
    return QN_OK;
}

qn_status qn_report_section(qn_report *report, const char *title) {
    if (!report || !title)
        return QN_INVALID_ARGUMENT;
    if (report->open != QNI_REPORT_NOTHING)
        end_section(report);
    change(report, QNI_REPORT_SECTION);
    fputs("<h2>", report->out);
    qni_html_text(report->out, title);
    fputs("</h2>\n", report->out);
    return written(report);
}

static void write_cells(FILE *out, const char *tag, int count, const char *const *cells) {
    fputs("<tr>", out);
    for (int i = 0; i < count; i++) {
        fprintf(out, "<%s>", tag);
        qni_html_text(out, cells[i] ? cells[i] : "");
        fprintf(out, "</%s>", tag);
    }
    fputs("</tr>\n", out);
}

qn_status qn_report_table(qn_report *report, int count, const char *const *cells) {
    if (!report || !cells)
        return QN_INVALID_ARGUMENT;
    change(report, QNI_REPORT_SECTION); /* a table follows a table as another */
    change(report, QNI_REPORT_TABLE);
    fputs("<div class=\"scroll\"><table class=\"numbers\">\n", report->out);
    write_cells(report->out, "th", count, cells);
    return written(report);
}

qn_status qn_report_row(qn_report *report, int count, const char *const *cells) {
    if (!report || !cells)
        return QN_INVALID_ARGUMENT;
    if (report->open != QNI_REPORT_TABLE)
        return qn_context_fail(report->ctx, QN_INVALID_ARGUMENT, "report: a row without a table");
    write_cells(report->out, "td", count, cells);
    return written(report);
}

qn_status qn_report_chart(qn_report *report, const qn_chart *chart) {
    if (!report || !chart)
        return QN_INVALID_ARGUMENT;
    if (report->open != QNI_REPORT_CHARTS) {
        change(report, QNI_REPORT_CHARTS);
        fputs("<div class=\"charts\">\n", report->out);
    }
    qni_chart_write(report->out, chart);
    return written(report);
}
