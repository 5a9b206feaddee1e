/* checkpoint_load.c: continuing from a checkpoint, and what is not to be replaced by one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint.h"

/** A checkpoint being read; the first thing that is wrong ends the reading. */
typedef struct reader {
    qni_fit *fit;
    qn_tensor_file *file;
    const char *path; /* as messages name it */
    qn_status status;
} reader;

static const char *read_text(reader *r, const char *key) {
    const char *text = qn_tensor_file_metadata(r->file, key);
    if (!text && r->status == QN_OK)
        r->status =
            qn_context_fail(r->fit->ctx, QN_BAD_FORMAT, "resume: '%s' has no '%s'", r->path, key);
    return r->status == QN_OK ? text : NULL;
}

static void bad_value(reader *r, const char *key, const char *text) {
    r->status = qn_context_fail(r->fit->ctx, QN_BAD_FORMAT, "resume: '%s' has a bad '%s': '%s'",
                                r->path, key, text);
}

/** A whole number of at most `most`; 0 on failure. */
static uint64_t read_integer(reader *r, const char *key, uint64_t most) {
    const char *text = read_text(r, key);
    if (!text)
        return 0;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && *text != '-' && value <= most)
        return value;
    bad_value(r, key, text);
    return 0;
}

static void read_numbers(reader *r, const char *key, double *out, int count) {
    const char *text = read_text(r, key), *next = text;
    void *locale = qn_locale_enter();
    for (int i = 0; text && i < count && r->status == QN_OK; i++) {
        char *end;
        out[i] = strtod(next, &end);
        if (end == next)
            bad_value(r, key, text);
        next = end;
    }
    qn_locale_leave(locale);
}

/* ---- what it was made with ------------------------------------------------------------------- */

/** The value under a prefixed key; NULL where there is none. */
static const char *find_text(const reader *r, const char *prefix, const char *key) {
    char whole[sizeof(((qni_pair *)0)->key)];
    snprintf(whole, sizeof(whole), "%s%s", prefix, key);
    return qn_tensor_file_metadata(r->file, whole);
}

static const char *program_setting(const qni_fit *fit, const char *key) {
    for (int i = 0; i < fit->opts.settings_count; i++)
        if (strcmp(fit->opts.settings[i].key, key) == 0)
            return fit->opts.settings[i].value;
    return NULL;
}

/** Refuses a checkpoint of another model by its name, where the program has told one. */
static void check_model_name(reader *r) {
    const char *was = find_text(r, QNI_CHECKPOINT_PROGRAM, "model");
    const char *is = program_setting(r->fit, "model");
    if (was && is && strcmp(was, is) != 0)
        r->status =
            qn_context_fail(r->fit->ctx, QN_INVALID_ARGUMENT,
                            "resume: '%s' was made with model %s, not %s", r->path, was, is);
}

/** The first of the program's settings that differs, in words, or nothing. */
static void describe_difference(const reader *r, char *out, size_t size) {
    out[0] = '\0';
    for (int i = 0; i < r->fit->opts.settings_count; i++) {
        const qn_metadata *is = &r->fit->opts.settings[i];
        const char *was = find_text(r, QNI_CHECKPOINT_PROGRAM, is->key);
        if (was && strncmp(was, is->value, strlen(was)) != 0) {
            snprintf(out, size, " (%s was %s, is %s)", is->key, was, is->value);
            return;
        }
    }
}

/** Refuses other data than the run had. Files of earlier versions do not tell, and validation data
 * may come or go where nothing is chosen by it. */
static void check_data(reader *r, const char *key, const char *is) {
    const char *was = qn_tensor_file_metadata(r->file, key);
    char difference[256];
    if (!was || strcmp(was, is) == 0 || strcmp(was, QNI_NO_DATA) == 0 ||
        strcmp(is, QNI_NO_DATA) == 0 || r->status != QN_OK)
        return;
    describe_difference(r, difference, sizeof(difference));
    r->status = qn_context_fail(r->fit->ctx, QN_INVALID_ARGUMENT,
                                "resume: '%s' was made with other %s%s: %s, now %s", r->path, key,
                                difference, was, is);
}

static void check_settings(reader *r) {
    qni_pairs settings = {0};
    qni_fit_settings(r->fit, &settings);
    if (settings.failed && r->status == QN_OK)
        r->status = qn_context_fail(r->fit->ctx, QN_OUT_OF_MEMORY, "resume: out of memory");
    for (int i = 0; i < settings.count && r->status == QN_OK; i++) {
        char key[sizeof(settings.items->key) + 8];
        snprintf(key, sizeof(key), QNI_CHECKPOINT_SETTING "%s", settings.items[i].key);
        const char *was = read_text(r, key);
        if (was && strcmp(was, settings.items[i].value) != 0)
            r->status = qn_context_fail(r->fit->ctx, QN_INVALID_ARGUMENT,
                                        "resume: '%s' was made with %s %s, not %s", r->path,
                                        settings.items[i].key, was, settings.items[i].value);
    }
    qni_pairs_free(&settings);
}

/** Everything that the run was made with must be as it was; a difference is named. */
static void check_origin(reader *r) {
    check_model_name(r);
    if (r->status == QN_OK)
        check_settings(r);
    check_data(r, QNI_CHECKPOINT_TRAIN_DATA, r->fit->train_print);
    check_data(r, QNI_CHECKPOINT_VALIDATION_DATA, r->fit->validation_print);
}

/* ---- where it stands ------------------------------------------------------------------------- */

static void read_epochs(reader *r) {
    qni_fit *fit = r->fit;
    int ended = (int)read_integer(r, "epochs", INT32_MAX);
    if (r->status == QN_OK && ended > fit->opts.epochs)
        r->status = qn_context_fail(fit->ctx, QN_INVALID_ARGUMENT,
                                    "%s: %d epochs have ended there, this run is to have %d",
                                    r->path, ended, fit->opts.epochs);
    if (r->status != QN_OK)
        return;
    fit->epoch_count = ended;
    for (int i = 0; i < fit->epoch_count && r->status == QN_OK; i++) {
        char key[32];
        snprintf(key, sizeof(key), "epoch.%d", i + 1);
        double v[6] = {0};
        read_numbers(r, key, v, 6);
        fit->epochs[i] = (qni_epoch){.train_loss = v[0],
                                     .validation_loss = v[1],
                                     .validation_accuracy = v[2],
                                     .samples_per_second = v[3],
                                     .seconds = v[4],
                                     .lr = v[5]};
    }
}

static void read_state(reader *r) {
    qni_fit *fit = r->fit;
    double schedule[3] = {0}, seconds[2] = {0}, loss_sum = 0;
    read_epochs(r);
    fit->batch = (int64_t)read_integer(r, "batch", (uint64_t)fit->batches - 1);
    int64_t steps = (int64_t)read_integer(r, "steps", INT64_MAX);
    qn_random_state random = {read_integer(r, "random key", UINT64_MAX),
                              read_integer(r, "random counter", UINT64_MAX)};
    read_numbers(r, "loss sum", &loss_sum, 1);
    read_numbers(r, "schedule state", schedule, 3);
    read_numbers(r, "seconds", seconds, 2);
    if (r->status == QN_OK && !(schedule[2] >= 0 && schedule[2] <= INT32_MAX))
        bad_value(r, "schedule state", qn_tensor_file_metadata(r->file, "schedule state"));
    if (r->status != QN_OK)
        return;
    fit->samples = fit->samples_earlier = fit->batch * fit->opts.batch_size;
    fit->earlier = seconds[0];
    fit->epoch_earlier = seconds[1];
    qn_optimizer_set_steps(fit->optimizer, steps);
    qn_scheduler_set(fit->scheduler,
                     (qn_scheduler_state){schedule[0], schedule[1], (int)schedule[2]});
    qn_context_set_random(fit->ctx, random);
    r->status = qn_tensor_write(fit->loss_sum, &loss_sum, sizeof(loss_sum));
    if (r->status == QN_OK)
        r->status = qn_loader_seek(fit->loader, (qn_loader_position){fit->epoch_count, fit->batch});
}

/** Whether the file has the tensors of this model and optimizer; the
 * first that differs is named. */
static void check_tensors(reader *r, const qni_checkpoint_tensors *list) {
    if (qn_tensor_file_count(r->file) != list->count)
        r->status = qn_context_fail(r->fit->ctx, QN_SHAPE_MISMATCH,
                                    "resume: '%s' was made with another model or optimizer: it has "
                                    "%d tensors, these have %d",
                                    r->path, qn_tensor_file_count(r->file), list->count);
    if (r->status == QN_OK)
        r->status = qn_tensor_file_verify(r->file);
}

static void read_tensors(reader *r) {
    qni_checkpoint_tensors list;
    if (r->status == QN_OK)
        r->status = qni_checkpoint_collect(r->fit, true, &list);
    if (r->status != QN_OK)
        return;
    check_tensors(r, &list);
    for (int i = 0; i < list.count && r->status == QN_OK; i++)
        r->status = qn_tensor_file_read(r->file, list.tensors[i].name, list.tensors[i].tensor);
    qni_checkpoint_tensors_free(&list);
}

bool qni_checkpoint_known(const qn_tensor_file *file) {
    const char *version = qn_tensor_file_metadata(file, QNI_CHECKPOINT_KEY);
    return version && strcmp(version, QNI_CHECKPOINT_VERSION) == 0;
}

static qn_status load_file(qni_fit *fit, const char *path) {
    reader r = {.fit = fit, .path = path, .file = qn_tensor_file_open(fit->ctx, path)};
    if (!r.file)
        return qn_context_error(fit->ctx, NULL);
    const char *version = qn_tensor_file_metadata(r.file, QNI_CHECKPOINT_KEY);
    if (!qni_checkpoint_known(r.file))
        r.status = qn_context_fail(fit->ctx, QN_BAD_FORMAT,
                                   "resume: '%s' is no checkpoint of this version (%s is %s)", path,
                                   QNI_CHECKPOINT_KEY, version ? version : "missing");
    if (r.status == QN_OK)
        check_origin(&r);
    read_tensors(&r);
    if (r.status == QN_OK)
        read_state(&r);
    qn_tensor_file_free(r.file);
    return r.status;
}

/** Whether what went wrong is the file, so that the generation before it may do. */
static bool is_damage(qn_status status) { return status == QN_IO_ERROR || status == QN_BAD_FORMAT; }

qn_status qni_checkpoint_load(qni_fit *fit) {
    qn_status status = load_file(fit, fit->opts.resume);
    if (!is_damage(status))
        return status;
    char reason[512], *previous = qni_checkpoint_previous(fit, fit->opts.resume);
    if (!previous)
        return status;
    snprintf(reason, sizeof(reason), "%s", qn_context_message(fit->ctx));
    if (access(previous, R_OK) == 0) {
        qn_context_clear_error(fit->ctx);
        if (load_file(fit, previous) == QN_OK) {
            qni_progress_note(fit, "%s; going on from '%s'", reason, previous);
            status = QN_OK;
        } else { /* what is wrong with the newer one counts */
            qn_context_clear_error(fit->ctx);
            qn_context_fail(fit->ctx, status, "%s", reason);
        }
    }
    free(previous);
    return status;
}

/* ---- what another run left -------------------------------------------------------------- */

/** Steps of a run that could be gone on with: of one that has not ended,
 * and whose file is whole.
 * Where memory gives out that is not known, and the context has the error. */
static long long steps_to_keep(qn_context *ctx, qn_tensor_file *file) {
    const char *finished = qn_tensor_file_metadata(file, QNI_CHECKPOINT_FINISHED);
    const char *steps = qn_tensor_file_metadata(file, "steps");
    if (!steps || (finished && strcmp(finished, "1") == 0))
        return 0;
    const qn_status status = qn_tensor_file_verify(file);
    if (status == QN_OK)
        return strtoll(steps, NULL, 10);
    if (status != QN_OUT_OF_MEMORY)
        qn_context_clear_error(ctx);
    return 0;
}

/** Refuses to replace a checkpoint that is further on than this run is at its start. */
static qn_status compare_progress(const qni_fit *fit, qn_tensor_file *file) {
    const long long steps = steps_to_keep(fit->ctx, file);
    const char *epochs = qn_tensor_file_metadata(file, "epochs");
    if (steps <= qn_optimizer_steps(fit->optimizer))
        return qn_context_error(fit->ctx, NULL);
    return qn_context_fail(fit->ctx, QN_INVALID_ARGUMENT,
                           "fit: '%s' holds a run that is not finished (%s epochs, %lld steps): "
                           "resume it, or remove the file to start anew",
                           fit->opts.checkpoint, epochs ? epochs : "0", steps);
}

qn_status qni_checkpoint_may_replace(const qni_fit *fit) {
    const char *path = fit->opts.checkpoint;
    if (access(path, F_OK) != 0)
        return QN_OK;
    qn_tensor_file *file = qn_tensor_file_open(fit->ctx, path);
    if (!file) { /* what cannot be read is no run that could be gone on with */
        if (qn_context_error(fit->ctx, NULL) == QN_OUT_OF_MEMORY)
            return QN_OUT_OF_MEMORY;
        qn_context_clear_error(fit->ctx);
        return QN_OK;
    }
    qn_status status = QN_OK;
    if (!qn_tensor_file_metadata(file, QNI_CHECKPOINT_KEY))
        status =
            qn_context_fail(fit->ctx, QN_INVALID_ARGUMENT,
                            "fit: '%s' has tensors and is no checkpoint: it is not replaced", path);
    else
        status = compare_progress(fit, file);
    qn_tensor_file_free(file);
    return status;
}
