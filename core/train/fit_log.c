/* fit_log.c: the JSON-lines log: a "start" line, a line an epoch, and "done" (or "interrupted").
 *
 * Each line is flushed as it is written. After a resume the file is written anew from what the
 * checkpoint remembers, so that nothing that the killed run did after it is told twice. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

/** A number; null where it is not known. */
static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

/** Writes one object, which is released, as a line. */
static qn_status write_line(qni_fit *fit, json_t *line) {
    if (!line)
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "log: out of memory for a line");
    const unsigned held = qn_write_enter();
    /* json_dumpf() does not tell of every write that failed, the stream does */
    bool failed = json_dumpf(line, fit->log, 0) || fputc('\n', fit->log) == EOF ||
                  fflush(fit->log) || ferror(fit->log);
    const int error = errno;
    qn_write_leave(held);
    json_decref(line);
    if (failed)
        return qn_context_fail_io(fit->ctx, error, "log: cannot write '%s'", fit->opts.log);
    return QN_OK;
}

/** Adds a text to an object; false when memory is out. */
static bool add_text(json_t *object, const char *key, const char *text) {
    return json_object_set_new(object, key, json_string(text)) == 0;
}

/** The caller's settings and those of the run, as one object of texts; NULL when memory is out. */
static json_t *settings(const qni_fit *fit) {
    qni_pairs pairs = {0};
    qni_fit_settings(fit, &pairs);
    json_t *object = pairs.failed ? NULL : json_object();
    bool made = object;
    for (int i = 0; i < pairs.count && made; i++)
        made = add_text(object, pairs.items[i].key, pairs.items[i].value);
    for (int i = 0; i < fit->opts.settings_count && made; i++)
        made = add_text(object, fit->opts.settings[i].key, fit->opts.settings[i].value);
    qni_pairs_free(&pairs);
    if (made)
        return object;
    json_decref(object);
    return NULL;
}

/** Samples of a dataset, 0 without one. */
static json_int_t samples(const qn_dataset *dataset) {
    return dataset ? (json_int_t)qn_dataset_info(dataset)->count : 0;
}

static qn_status log_start(qni_fit *fit) {
    const qn_dataset *validation = fit->opts.validation;
    const qn_dataset *test = fit->opts.test ? fit->opts.test : validation;
    return write_line(
        fit,
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:i, s:o}", "event", "start",
                  "version", qn_version(), "device", qn_context_device(fit->ctx), "threads",
                  qn_context_threads(fit->ctx), "epochs", fit->opts.epochs, "parameters",
                  (json_int_t)qn_module_parameter_count(fit->module), "train_samples",
                  samples(fit->train), "validation_samples", samples(validation), "test_samples",
                  samples(test), "resumed_epochs", fit->first_epoch, "settings", settings(fit)));
}

qn_status qni_log_begin(qni_fit *fit) {
    if (!fit->opts.log)
        return QN_OK;
    const int fd = qni_output_claim(fit->ctx, "log", fit->opts.log);
    if (fd < 0)
        return qn_context_error(fit->ctx, NULL);
    fit->log = fdopen(fd, "w");
    if (!fit->log) {
        const int error = errno;
        close(fd);
        return qn_context_fail_io(fit->ctx, error, "log: cannot write '%s'", fit->opts.log);
    }
    if (ftruncate(fd, 0) != 0)
        errno = 0; /* a pipe or a terminal, which has nothing to empty */
    qn_status status = log_start(fit);
    for (int epoch = 1; epoch <= fit->epoch_count && status == QN_OK; epoch++)
        status = qni_log_epoch(fit, epoch);
    return status;
}

qn_status qni_log_epoch(qni_fit *fit, int epoch) {
    if (!fit->log)
        return QN_OK;
    const qni_epoch *record = &fit->epochs[epoch - 1];
    /* test_* are what the validation_* were called before, kept for this version. */
    return write_line(
        fit,
        json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "event", "epoch", "epoch",
                  epoch, "train_loss", number(record->train_loss), "validation_loss",
                  number(record->validation_loss), "validation_accuracy",
                  number(record->validation_accuracy), "test_loss", number(record->validation_loss),
                  "test_accuracy", number(record->validation_accuracy), "learning_rate",
                  number(record->lr), "samples_per_second", number(record->samples_per_second),
                  "seconds", number(record->seconds)));
}

/** The last line of a run that ended; NULL when memory is out. */
static json_t *done_line(const qni_fit *fit, const qn_fit_result *result) {
    const qn_metrics *validation = &result->validation;
    /* Without a test set the validation set stands in for it, for this version. */
    const qn_metrics *test = fit->opts.test ? &result->test : validation;
    json_t *line =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:i, s:i, s:o, s:o, s:o, s:I, s:s, s:i}", "event",
                  "done", "test_accuracy", number(test->accuracy), "test_loss", number(test->loss),
                  "validation_accuracy", number(validation->accuracy), "validation_loss",
                  number(validation->loss), "epochs", result->epochs, "best_epoch",
                  result->best_epoch, "seconds", number(result->seconds), "samples_per_second",
                  number(result->samples_per_second), "peak_rss_mb", number(qni_peak_rss_mb()),
                  "parameters", (json_int_t)qn_module_parameter_count(fit->module), "device",
                  qn_context_device(fit->ctx), "threads", qn_context_threads(fit->ctx));
    const qn_report *own = fit->report;
    bool failed = !line;
    for (int i = 0; i < own->number_count && !failed; i++)
        failed = json_object_set_new(line, own->numbers[i].key, number(own->numbers[i].value));
    if (!failed)
        return line;
    json_decref(line);
    return NULL;
}

qn_status qni_log_end(qni_fit *fit, const qn_fit_result *result) {
    if (!fit->log)
        return QN_OK;
    if (result->interrupted)
        return write_line(fit, json_pack("{s:s, s:i, s:I}", "event", "interrupted", "epoch",
                                         fit->epoch_count + 1, "batch", (json_int_t)fit->batch));
    return write_line(fit, done_line(fit, result));
}
