/* fit_board.c: a run in TensorBoard's files: the settings, and of each epoch the curves and how
 * parameters and gradients are spread. Steps are epochs; a resumed run adds a file. */
#include <math.h>
#include <stdlib.h>

#include "fit.h"

/** Writes a cell of a Markdown table. */
static void write_cell(FILE *out, const char *text) {
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text == '\n' ? ' ' : *text, out);
    }
}

static void write_row(FILE *out, const char *key, const char *value) {
    fputs("| ", out);
    write_cell(out, key);
    fputs(" | ", out);
    write_cell(out, value);
    fputs(" |\n", out);
}

/** The caller's settings and those of the run as a Markdown table. */
static qn_status write_settings(const qni_fit *fit) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    qni_pairs pairs = {0};
    qni_fit_settings(fit, &pairs);
    bool failed = !out || pairs.failed;
    if (!failed) {
        fputs("| setting | value |\n|---|---|\n", out);
        for (int i = 0; i < fit->opts.settings_count; i++)
            write_row(out, fit->opts.settings[i].key, fit->opts.settings[i].value);
        for (int i = 0; i < pairs.count; i++)
            write_row(out, pairs.items[i].key, pairs.items[i].value);
    }
    if (out)
        failed |= fclose(out) != 0 || !text; /* which glibc loses without a word */
    qni_pairs_free(&pairs);
    qn_status status =
        failed ? qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "fit: out of memory for its settings")
               : qn_tensorboard_text(fit->board, "settings", fit->epoch_count, text);
    free(text);
    return status;
}

qn_status qni_board_begin(qni_fit *fit) {
    if (!fit->opts.tensorboard)
        return QN_OK;
    fit->board = qn_tensorboard_open(fit->ctx, fit->opts.tensorboard);
    return fit->board ? write_settings(fit) : qn_context_error(fit->ctx, NULL);
}

qn_status qni_board_gradients(qni_fit *fit) {
    qn_status status = QN_OK;
    const int count = fit->board ? qn_module_tensor_count(fit->module) : 0;
    for (int i = 0; i < count && status == QN_OK; i++) {
        const qn_named_tensor named = qn_module_tensor(fit->module, i);
        const qn_tensor *gradient = named.trained ? qn_grad(named.tensor) : NULL;
        char tag[160];
        snprintf(tag, sizeof(tag), "gradients/%s", named.name);
        if (gradient)
            status = qn_tensorboard_histogram(fit->board, tag, fit->epoch_count + 1, gradient);
    }
    return status;
}

static qn_status write_parameters(const qni_fit *fit) {
    qn_status status = QN_OK;
    for (int i = 0; i < qn_module_tensor_count(fit->module) && status == QN_OK; i++) {
        const qn_named_tensor named = qn_module_tensor(fit->module, i);
        char tag[160];
        snprintf(tag, sizeof(tag), "parameters/%s", named.name);
        if (named.trained)
            status = qn_tensorboard_histogram(fit->board, tag, fit->epoch_count, named.tensor);
    }
    return status;
}

qn_status qni_board_epoch(qni_fit *fit) {
    if (!fit->board)
        return QN_OK;
    const qni_epoch *epoch = &fit->epochs[fit->epoch_count - 1];
    const struct {
        const char *tag;
        double value;
    } curves[] = {{"loss/train", epoch->train_loss},
                  {"loss/validation", epoch->validation_loss},
                  {"accuracy/validation", epoch->validation_accuracy},
                  {"learning rate", epoch->lr},
                  {"samples per second", epoch->samples_per_second}};
    qn_status status = QN_OK;
    for (size_t i = 0; i < sizeof(curves) / sizeof(*curves) && status == QN_OK; i++)
        if (isfinite(curves[i].value))
            status =
                qn_tensorboard_scalar(fit->board, curves[i].tag, fit->epoch_count, curves[i].value);
    return status != QN_OK ? status : write_parameters(fit);
}
