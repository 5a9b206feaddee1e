/* checkpoint.c: the whole state of a run in one safetensors file.
 *
 * Tensors: "model.<name>", "optimizer.<name>" and, where the best model is kept, "best.<name>".
 * Metadata: the settings that decide the course, the position, the random state, the loss so far
 * and what is remembered of each epoch. Numbers that must come back to the bit are hexadecimal
 * floats. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fit.h"

/** Version of what this file writes, under the key that marks a checkpoint. */
#define FORMAT_KEY "quern.checkpoint"
#define FORMAT_VERSION "1"

/* ---- tensors with their names -------------------------------------------------------------- */

#define NAME_SIZE 256

typedef struct named {
    qn_named_tensor *tensors;
    char (*names)[NAME_SIZE];
    int count;
} named;

static void named_free(named *list) {
    free(list->tensors);
    free(list->names);
    *list = (named){0};
}

static void named_add(named *list, const char *prefix, qn_named_tensor tensor) {
    char *name = list->names[list->count];
    snprintf(name, NAME_SIZE, "%s%s", prefix, tensor.name);
    tensor.name = name;
    list->tensors[list->count++] = tensor;
}

/** The model's tensors under their own names or, of the whole state, all with prefixes. */
static qn_status named_collect(const qni_fit *fit, bool whole, named *list) {
    const qn_module *module = fit->module;
    int model = qn_module_tensor_count(module);
    int own = whole ? qn_optimizer_tensor_count(fit->optimizer) : 0;
    int best = whole && fit->best ? model : 0;
    size_t count = (size_t)model + (size_t)own + (size_t)best;
    *list = (named){.tensors = calloc(count + 1, sizeof(*list->tensors)),
                    .names = calloc(count + 1, sizeof(*list->names))};
    if (!list->tensors || !list->names) {
        named_free(list);
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY,
                               "fit: no memory for the names of %zu tensors", count);
    }
    for (int i = 0; i < model; i++)
        named_add(list, whole ? "model." : "", qn_module_tensor(module, i));
    for (int i = 0; i < own; i++)
        named_add(list, "optimizer.", qn_optimizer_tensor(fit->optimizer, i));
    for (int i = 0; i < best; i++)
        named_add(list, "best.",
                  (qn_named_tensor){qn_module_tensor(module, i).name, fit->best[i], false});
    return QN_OK;
}

qn_status qni_model_save(const qni_fit *fit, const char *path) {
    named list;
    qn_status status = named_collect(fit, false, &list);
    if (status != QN_OK)
        return status;
    status = qn_tensors_write(fit->ctx, path, list.tensors, list.count, fit->opts.settings,
                              fit->opts.settings_count);
    named_free(&list);
    return status;
}

/* ---- saving -------------------------------------------------------------------------------- */

/** The settings under "setting.<name>", so that no name meets one of the state's. */
static void add_settings(const qni_fit *fit, qni_pairs *out) {
    qni_pairs settings = {0};
    qni_fit_settings(fit, &settings);
    for (int i = 0; i < settings.count; i++) {
        char key[sizeof(settings.items->key) + 8];
        snprintf(key, sizeof(key), "setting.%s", settings.items[i].key);
        qni_pairs_add(out, key, "%s", settings.items[i].value);
    }
    out->failed |= settings.failed;
    qni_pairs_free(&settings);
}

static void add_state(qni_fit *fit, qni_pairs *out) {
    qn_random_state random = qn_context_random(fit->ctx);
    qn_scheduler_state schedule = qn_scheduler_get(fit->scheduler);
    double now = qni_now();
    qni_pairs_add(out, "epochs", "%d", fit->epoch_count);
    qni_pairs_add(out, "batch", "%lld", (long long)fit->batch);
    qni_pairs_add(out, "steps", "%lld", (long long)qn_optimizer_steps(fit->optimizer));
    qni_pairs_add(out, "random key", "%llu", (unsigned long long)random.key);
    qni_pairs_add(out, "random counter", "%llu", (unsigned long long)random.counter);
    qni_pairs_add(out, "loss sum", "%a", qn_item(fit->loss_sum));
    qni_pairs_add(out, "schedule state", "%a %a %d", schedule.best, schedule.scale,
                  schedule.waited);
    qni_pairs_add(out, "seconds", "%a %a", fit->earlier + now - fit->started,
                  fit->batch ? fit->epoch_earlier + now - fit->epoch_started : 0);
    for (int i = 0; i < fit->epoch_count; i++) {
        const qni_epoch *epoch = &fit->epochs[i];
        char key[32];
        snprintf(key, sizeof(key), "epoch.%d", i + 1);
        qni_pairs_add(out, key, "%a %a %a %a %a %a", epoch->train_loss, epoch->test_loss,
                      epoch->test_accuracy, epoch->samples_per_second, epoch->seconds, epoch->lr);
    }
}

static qn_status write_file(qni_fit *fit, const named *list, const qni_pairs *pairs) {
    qn_metadata *metadata = calloc((size_t)pairs->count + 1, sizeof(*metadata));
    if (!metadata || pairs->failed) {
        free(metadata);
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "fit: no memory for a checkpoint");
    }
    for (int i = 0; i < pairs->count; i++)
        metadata[i] = (qn_metadata){pairs->items[i].key, pairs->items[i].value};
    qn_status status = qn_tensors_write(fit->ctx, fit->opts.checkpoint, list->tensors, list->count,
                                        metadata, pairs->count);
    free(metadata);
    return status;
}

qn_status qni_checkpoint_save(qni_fit *fit) {
    named list;
    qn_status status = named_collect(fit, true, &list);
    if (status != QN_OK)
        return status;
    qni_pairs pairs = {0};
    qni_pairs_add(&pairs, FORMAT_KEY, "%s", FORMAT_VERSION);
    add_settings(fit, &pairs);
    add_state(fit, &pairs);
    status = write_file(fit, &list, &pairs);
    qni_pairs_free(&pairs);
    named_free(&list);
    return status;
}

/* ---- continuing ---------------------------------------------------------------------------- */

/** A checkpoint being read; the first thing that is wrong ends the reading. */
typedef struct reader {
    qni_fit *fit;
    qn_tensor_file *file;
    qn_status status;
} reader;

static const char *read_text(reader *r, const char *key) {
    const char *text = qn_tensor_file_metadata(r->file, key);
    if (!text && !r->status)
        r->status = qn_context_fail(r->fit->ctx, QN_BAD_FORMAT, "resume: '%s' has no '%s'",
                                    r->fit->opts.resume, key);
    return r->status ? NULL : text;
}

static void bad_value(reader *r, const char *key, const char *text) {
    r->status = qn_context_fail(r->fit->ctx, QN_BAD_FORMAT, "resume: '%s' has a bad '%s': '%s'",
                                r->fit->opts.resume, key, text);
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
    for (int i = 0; text && i < count; i++) {
        char *end;
        out[i] = strtod(next, &end);
        if (end == next) {
            bad_value(r, key, text);
            return;
        }
        next = end;
    }
}

static void check_settings(reader *r) {
    qni_pairs settings = {0};
    qni_fit_settings(r->fit, &settings);
    if (settings.failed && !r->status)
        r->status = qn_context_fail(r->fit->ctx, QN_OUT_OF_MEMORY, "resume: no memory");
    for (int i = 0; i < settings.count && !r->status; i++) {
        char key[sizeof(settings.items->key) + 8];
        snprintf(key, sizeof(key), "setting.%s", settings.items[i].key);
        const char *was = read_text(r, key);
        if (was && strcmp(was, settings.items[i].value) != 0)
            r->status = qn_context_fail(
                r->fit->ctx, QN_INVALID_ARGUMENT, "resume: '%s' was made with %s %s, not %s",
                r->fit->opts.resume, settings.items[i].key, was, settings.items[i].value);
    }
    qni_pairs_free(&settings);
}

static void read_epochs(reader *r) {
    qni_fit *fit = r->fit;
    int ended = (int)read_integer(r, "epochs", INT32_MAX);
    if (!r->status && ended > fit->opts.epochs)
        r->status = qn_context_fail(fit->ctx, QN_INVALID_ARGUMENT,
                                    "%s: %d epochs have ended there, this run is to have %d",
                                    fit->opts.resume, ended, fit->opts.epochs);
    if (r->status)
        return;
    fit->epoch_count = ended;
    for (int i = 0; i < fit->epoch_count && !r->status; i++) {
        char key[32];
        snprintf(key, sizeof(key), "epoch.%d", i + 1);
        double v[6] = {0};
        read_numbers(r, key, v, 6);
        fit->epochs[i] = (qni_epoch){.train_loss = v[0],
                                     .test_loss = v[1],
                                     .test_accuracy = v[2],
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
    if (r->status)
        return;
    fit->samples = fit->samples_earlier = fit->batch * fit->opts.batch_size;
    fit->earlier = seconds[0];
    fit->epoch_earlier = seconds[1];
    qn_optimizer_set_steps(fit->optimizer, steps);
    qn_scheduler_set(fit->scheduler,
                     (qn_scheduler_state){schedule[0], schedule[1], (int)schedule[2]});
    qn_context_set_random(fit->ctx, random);
    r->status = qn_tensor_write(fit->loss_sum, &loss_sum, sizeof(loss_sum));
    if (!r->status)
        r->status = qn_loader_seek(fit->loader, (qn_loader_position){fit->epoch_count, fit->batch});
}

static void read_tensors(reader *r) {
    named list;
    if (!r->status)
        r->status = named_collect(r->fit, true, &list);
    if (r->status)
        return;
    if (qn_tensor_file_count(r->file) != list.count)
        r->status = qn_context_fail(r->fit->ctx, QN_SHAPE_MISMATCH,
                                    "resume: '%s' has %d tensors, this model and optimizer have %d",
                                    r->fit->opts.resume, qn_tensor_file_count(r->file), list.count);
    for (int i = 0; i < list.count && !r->status; i++)
        r->status = qn_tensor_file_read(r->file, list.tensors[i].name, list.tensors[i].tensor);
    named_free(&list);
}

qn_status qni_checkpoint_load(qni_fit *fit) {
    reader r = {.fit = fit, .file = qn_tensor_file_open(fit->ctx, fit->opts.resume)};
    if (!r.file)
        return qn_context_error(fit->ctx, NULL);
    const char *version = qn_tensor_file_metadata(r.file, FORMAT_KEY);
    if (!version || strcmp(version, FORMAT_VERSION) != 0)
        r.status = qn_context_fail(fit->ctx, QN_BAD_FORMAT,
                                   "resume: '%s' is no checkpoint of this version (%s is %s)",
                                   fit->opts.resume, FORMAT_KEY, version ? version : "missing");
    if (!r.status)
        check_settings(&r);
    read_tensors(&r);
    if (!r.status)
        read_state(&r);
    qn_tensor_file_free(r.file);
    return r.status;
}
