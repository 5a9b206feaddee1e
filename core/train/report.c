/* report.c: the HTML page of a run: its order, its tables, and the file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

/* ---- text ---------------------------------------------------------------------------------- */

void qni_html_text(FILE *out, const char *text) {
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

void qni_html_class(FILE *out, const qn_dataset_desc *info, int64_t class_index) {
    if (info->class_names && class_index < info->classes)
        qni_html_text(out, info->class_names[class_index]);
    else
        fprintf(out, "%lld", (long long)class_index);
}

/* ---- what stands at the top ---------------------------------------------------------------- */

static void write_tile(FILE *out, const char *value, const char *label) {
    fprintf(out, "<div class=\"tile\"><b>%s</b><span>%s</span></div>\n", value, label);
}

/** One tile for each number of the program, under its key with spaces; an accuracy that is shown
 * already is left out. */
static void write_own_tiles(FILE *out, const qn_report *own, bool has_accuracy) {
    for (int i = 0; i < own->number_count; i++) {
        bool shown = has_accuracy && strcmp(own->numbers[i].key, "test_accuracy") == 0;
        if (shown || !isfinite(own->numbers[i].value))
            continue;
        char value[32], label[sizeof(own->numbers[i].key)];
        snprintf(value, sizeof(value), "%.5g", own->numbers[i].value);
        snprintf(label, sizeof(label), "%s", own->numbers[i].key);
        for (char *c = label; *c; c++)
            *c = *c == '_' ? ' ' : *c;
        write_tile(out, value, label);
    }
}

/** Accuracy and loss, where they are known, on the set of a name. */
static void write_metrics(FILE *out, const qn_metrics *metrics, const char *set) {
    char value[32], label[32];
    if (isfinite(metrics->accuracy)) {
        snprintf(value, sizeof(value), "%.2f&#8239;%%", 100 * metrics->accuracy);
        snprintf(label, sizeof(label), "%s accuracy", set);
        write_tile(out, value, label);
    }
    if (isfinite(metrics->loss)) {
        snprintf(value, sizeof(value), "%.5g", metrics->loss);
        snprintf(label, sizeof(label), "%s loss", set);
        write_tile(out, value, label);
    }
}

static void write_tiles(FILE *out, const qni_fit *fit, const qn_fit_result *result) {
    char text[32];
    fputs("<section class=\"tiles\">\n", out);
    if (fit->opts.test)
        write_metrics(out, &result->test, "test");
    else
        write_metrics(out, &result->validation, "validation");
    write_own_tiles(out, fit->report, isfinite(result->test.accuracy));
    snprintf(text, sizeof(text), "%.5g", result->train_loss);
    write_tile(out, text, "train loss, last epoch");
    write_tile(out, qni_clock_text(result->seconds, text), "training time");
    snprintf(text, sizeof(text), "%.0f", result->samples_per_second);
    write_tile(out, text, "samples per second");
    snprintf(text, sizeof(text), "%lld", (long long)qn_module_parameter_count(fit->module));
    write_tile(out, text, "parameters");
    fputs("</section>\n", out);
}

static void write_heading(FILE *out, const qni_fit *fit, const qn_fit_result *result) {
    char when[32] = "";
    time_t now = time(NULL);
    struct tm parts;
    if (localtime_r(&now, &parts))
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &parts);
    fputs("<h1>", out);
    qni_html_text(out, fit->opts.title ? fit->opts.title : "Training run");
    fprintf(out, "</h1>\n<p class=\"sub\">%d epoch%s of %lld samples; %s, Quern %s</p>\n",
            result->epochs, result->epochs == 1 ? "" : "s",
            (long long)qn_dataset_info(fit->train)->count, when, qn_version());
}

/* ---- tables -------------------------------------------------------------------------------- */

static void write_number_cell(FILE *out, double value, int digits) {
    if (isfinite(value))
        fprintf(out, "<td>%.*f</td>", digits, value);
    else
        fputs("<td>&ndash;</td>", out);
}

static void write_epochs(FILE *out, const qni_fit *fit) {
    bool accuracy = fit->opts.validation && qni_has_classes(fit->opts.validation);
    fputs("<section><h2>Epochs</h2>\n<div class=\"scroll\"><table class=\"numbers\"><tr>"
          "<th>epoch</th><th>train loss</th>",
          out);
    if (fit->opts.validation)
        fputs("<th>validation loss</th>", out);
    if (accuracy)
        fputs("<th>validation accuracy %</th>", out);
    fputs("<th>learning rate at end</th><th>samples/s</th><th>seconds</th></tr>\n", out);
    for (int i = 0; i < fit->epoch_count; i++) {
        const qni_epoch *epoch = &fit->epochs[i];
        fprintf(out, "<tr><td>%d</td>", i + 1);
        write_number_cell(out, epoch->train_loss, 4);
        if (fit->opts.validation)
            write_number_cell(out, epoch->validation_loss, 4);
        if (accuracy)
            write_number_cell(out, 100 * epoch->validation_accuracy, 2);
        fprintf(out, "<td>%.3g</td>", epoch->lr);
        write_number_cell(out, epoch->samples_per_second, 0);
        write_number_cell(out, epoch->seconds, 1);
        fputs("</tr>\n", out);
    }
    fputs("</table></div></section>\n", out);
}

static void write_row(FILE *out, const char *key, const char *value) {
    fputs("<tr><th>", out);
    qni_html_text(out, key);
    fputs("</th><td>", out);
    qni_html_text(out, value);
    fputs("</td></tr>\n", out);
}

static void write_settings(FILE *out, const qni_fit *fit, const qni_pairs *settings) {
    fputs("<section><h2>Settings</h2>\n<table class=\"facts\">\n", out);
    write_row(out, "training data", qn_dataset_info(fit->train)->name);
    if (fit->opts.validation)
        write_row(out, "validation data", qn_dataset_info(fit->opts.validation)->name);
    if (fit->opts.test)
        write_row(out, "test data", qn_dataset_info(fit->opts.test)->name);
    for (int i = 0; i < fit->opts.settings_count; i++)
        write_row(out, fit->opts.settings[i].key, fit->opts.settings[i].value);
    for (int i = 0; i < settings->count; i++)
        if (strcmp(settings->items[i].value, "0") != 0)
            write_row(out, settings->items[i].key, settings->items[i].value);
    fputs("</table></section>\n", out);
}

static void write_machine(FILE *out, const qni_pairs *machine) {
    fputs("<section><h2>Machine</h2>\n<table class=\"facts\">\n", out);
    for (int i = 0; i < machine->count; i++)
        write_row(out, machine->items[i].key, machine->items[i].value);
    fputs("</table></section>\n", out);
}

/** One row for each module without children, in order; deeper ones are indented. */
static void write_layers(FILE *out, const qn_module *module, int depth) {
    const qn_module *child;
    for (int i = 0; (child = qn_module_child(module, i)); i++) {
        fprintf(out, "<tr><td style=\"padding-left:%dpx\">", 10 + 16 * depth);
        qni_html_text(out, qn_module_kind(child));
        fprintf(out, "</td><td>%lld</td></tr>\n", (long long)qn_module_parameter_count(child));
        write_layers(out, child, depth + 1);
    }
}

static void write_model(FILE *out, const qn_module *module) {
    fputs("<section><h2>Model</h2>\n<table class=\"numbers model\"><tr><th>layer</th>"
          "<th>parameters</th></tr>\n",
          out);
    write_layers(out, module, 0);
    fprintf(out, "<tr class=\"sum\"><td>");
    qni_html_text(out, qn_module_kind(module));
    fprintf(out, "</td><td>%lld</td></tr>\n</table></section>\n",
            (long long)qn_module_parameter_count(module));
}

/* ---- the file ------------------------------------------------------------------------------ */

/** The dataset whose samples are looked at one by one; NULL where there is none. */
static qn_dataset *inspected(const qni_fit *fit) {
    return fit->opts.test ? fit->opts.test : fit->opts.validation;
}

static qn_status write_page(FILE *out, qni_fit *fit, const qn_fit_result *result,
                            const qni_inspection *found) {
    qni_pairs settings = {0}, machine = {0};
    qni_fit_settings(fit, &settings);
    qni_machine(fit->ctx, &machine);
    qn_status status = QN_OK;
    if (settings.failed || machine.failed)
        status =
            qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "report: out of memory for its tables");
    qni_report_head(out, fit->opts.title ? fit->opts.title : "Training run");
    write_heading(out, fit, result);
    write_tiles(out, fit, result);
    if (status == QN_OK)
        status = qni_report_curves(out, fit);
    if (status == QN_OK && found->confusion) {
        const char *set = fit->opts.test ? "test" : "validation";
        qni_report_confusion(out, set, qn_dataset_info(inspected(fit)), found);
        status = qni_report_mistakes(out, set, inspected(fit), found);
    }
    if (status == QN_OK)
        status = qni_report_sections(out, fit->report);
    write_epochs(out, fit);
    fputs("<div class=\"columns\">\n", out);
    write_settings(out, fit, &settings);
    write_model(out, fit->module);
    write_machine(out, &machine);
    fputs("</div>\n</main></body></html>\n", out);
    qni_pairs_free(&settings);
    qni_pairs_free(&machine);
    return status;
}

/** Makes the page in memory and puts it in its place, so that a kill leaves no half page. */
static qn_status write_file(qni_fit *fit, const qn_fit_result *result,
                            const qni_inspection *found) {
    char *page = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&page, &bytes);
    void *locale = qn_locale_enter();
    qn_status status = out ? write_page(out, fit, result, found) : QN_OK;
    qn_locale_leave(locale);
    const bool whole = out && !ferror(out);
    if ((out && fclose(out) != 0) || !whole || !page) /* glibc may lose it without a word */
        status = qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "report: out of memory for the page");
    if (status == QN_OK)
        status = qn_file_write(fit->ctx, fit->opts.report, page, bytes);
    free(page);
    return status;
}

qn_status qni_report_write(qni_fit *fit, const qn_fit_result *result) {
    qni_inspection found = {0};
    qn_status status = inspected(fit) ? qni_inspect(fit, inspected(fit), &found) : QN_OK;
    if (status == QN_OK)
        status = write_file(fit, result, &found);
    free(found.confusion);
    return status;
}

qn_status qni_report_claim(qni_fit *fit) {
    if (!fit->opts.report)
        return QN_OK;
    fit->report_fd = qni_output_claim(fit->ctx, "report", fit->opts.report);
    return fit->report_fd >= 0 ? QN_OK : qn_context_error(fit->ctx, NULL);
}

/** An empty file is one that the claim made and that no page came to. */
void qni_report_unclaim(qni_fit *fit) {
    struct stat claimed, there;
    if (fit->report_fd < 0)
        return;
    if (fstat(fit->report_fd, &claimed) == 0 && stat(fit->opts.report, &there) == 0 &&
        claimed.st_ino == there.st_ino && there.st_size == 0 && S_ISREG(there.st_mode))
        unlink(fit->opts.report);
    close(fit->report_fd);
}
