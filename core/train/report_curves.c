/* report_curves.c: how loss and accuracy went over the epochs. */
#include <stdlib.h>

#include "report.h"

static void write_losses(FILE *out, const qni_fit *fit, const double *train,
                         const double *validation) {
    qni_chart_write(
        out, &(qn_chart){.title = "Loss",
                         .count = fit->epoch_count,
                         .axis = "epoch",
                         .lines = {{"train", train},
                                   {"validation", fit->opts.validation ? validation : NULL}}});
}

static void write_accuracy(FILE *out, const qni_fit *fit, const double *accuracy) {
    qni_chart_write(out, &(qn_chart){.title = "Validation accuracy, %",
                                     .count = fit->epoch_count,
                                     .axis = "epoch",
                                     .lines = {{"validation", accuracy}}});
}

qn_status qni_report_curves(FILE *out, const qni_fit *fit) {
    const size_t count = (size_t)fit->epoch_count;
    double *values = calloc(3 * count + 1, sizeof(*values));
    if (!values)
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "report: out of memory for its charts");
    double *train = values, *validation = values + count, *accuracy = values + 2 * count;
    for (int i = 0; i < fit->epoch_count; i++) {
        train[i] = fit->epochs[i].train_loss;
        validation[i] = fit->epochs[i].validation_loss;
        accuracy[i] = 100 * fit->epochs[i].validation_accuracy;
    }
    fputs("<section class=\"charts\">\n", out);
    write_losses(out, fit, train, validation);
    write_accuracy(out, fit, accuracy);
    fputs("</section>\n", out);
    free(values);
    return QN_OK;
}
