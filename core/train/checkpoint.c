/* checkpoint.c: the whole state of a run in one safetensors file, and the one before it.
 *
 * Tensors: "model.<name>", "optimizer.<name>" and, where the best model is kept, "best.<name>".
 * Metadata: the settings that decide the course, the position, the random state, the loss so far
 * and what is remembered of each epoch. Numbers that must come back to the bit are hexadecimal
 * floats. */
#define _GNU_SOURCE /* for asprintf() */
#include "checkpoint.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- tensors with their names -------------------------------------------------------------- */

void qni_checkpoint_tensors_free(qni_checkpoint_tensors *list) {
    free(list->tensors);
    free(list->names);
    *list = (qni_checkpoint_tensors){0};
}

static void add_tensor(qni_checkpoint_tensors *list, const char *prefix, qn_named_tensor tensor) {
    char *name = list->names[list->count];
    snprintf(name, QNI_CHECKPOINT_NAME_SIZE, "%s%s", prefix, tensor.name);
    tensor.name = name;
    list->tensors[list->count++] = tensor;
}

qn_status qni_checkpoint_collect(const qni_fit *fit, bool whole, qni_checkpoint_tensors *list) {
    const qn_module *module = fit->module;
    int model = qn_module_tensor_count(module);
    int own = whole ? qn_optimizer_tensor_count(fit->optimizer) : 0;
    int best = whole && fit->best ? model : 0;
    size_t count = (size_t)model + (size_t)own + (size_t)best;
    *list = (qni_checkpoint_tensors){.tensors = calloc(count + 1, sizeof(*list->tensors)),
                                     .names = calloc(count + 1, sizeof(*list->names))};
    if (!list->tensors || !list->names) {
        qni_checkpoint_tensors_free(list);
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY,
                               "fit: out of memory for the names of %zu tensors", count);
    }
    for (int i = 0; i < model; i++)
        add_tensor(list, whole ? "model." : "", qn_module_tensor(module, i));
    for (int i = 0; i < own; i++)
        add_tensor(list, "optimizer.", qn_optimizer_tensor(fit->optimizer, i));
    for (int i = 0; i < best; i++)
        add_tensor(list, "best.",
                   (qn_named_tensor){qn_module_tensor(module, i).name, fit->best[i], false});
    return QN_OK;
}

qn_status qni_model_save(const qni_fit *fit, const char *path) {
    qni_checkpoint_tensors list;
    qn_status status = qni_checkpoint_collect(fit, false, &list);
    if (status != QN_OK)
        return status;
    status = qn_tensors_write(fit->ctx, path, list.tensors, list.count, fit->opts.settings,
                              fit->opts.settings_count);
    qni_checkpoint_tensors_free(&list);
    return status;
}

/* ---- saving -------------------------------------------------------------------------------- */

/** Adds a pair under a prefix; a value that is too long is cut between two characters of UTF-8. */
static void add_prefixed(qni_pairs *out, const char *prefix, const char *key, const char *value) {
    char whole[sizeof(out->items->key)];
    size_t length = strlen(value);
    snprintf(whole, sizeof(whole), "%s%s", prefix, key);
    if (length >= sizeof(out->items->value))
        for (length = sizeof(out->items->value) - 1; length > 0 && (value[length] & 0xc0) == 0x80;)
            length--;
    qni_pairs_add(out, whole, "%.*s", (int)length, value);
}

/** What the run was made with, each kind under a prefix, so that no name
 * meets one of the state's. */
static void add_origin(const qni_fit *fit, qni_pairs *out) {
    qni_pairs settings = {0};
    qni_fit_settings(fit, &settings);
    for (int i = 0; i < settings.count; i++)
        add_prefixed(out, QNI_CHECKPOINT_SETTING, settings.items[i].key, settings.items[i].value);
    out->failed |= settings.failed;
    qni_pairs_free(&settings);
    for (int i = 0; i < fit->opts.settings_count; i++)
        add_prefixed(out, QNI_CHECKPOINT_PROGRAM, fit->opts.settings[i].key,
                     fit->opts.settings[i].value);
    qni_pairs_add(out, QNI_CHECKPOINT_TRAIN_DATA, "%s", fit->train_print);
    qni_pairs_add(out, QNI_CHECKPOINT_VALIDATION_DATA, "%s", fit->validation_print);
}

static void add_state(qni_fit *fit, qni_pairs *out) {
    qn_random_state random = qn_context_random(fit->ctx);
    qn_scheduler_state schedule = qn_scheduler_get(fit->scheduler);
    double now = qni_now();
    qni_pairs_add(out, QNI_CHECKPOINT_FINISHED, "%d", qni_fit_finished(fit));
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
        qni_pairs_add(out, key, "%a %a %a %a %a %a", epoch->train_loss, epoch->validation_loss,
                      epoch->validation_accuracy, epoch->samples_per_second, epoch->seconds,
                      epoch->lr);
    }
}

static qn_status write_file(qni_fit *fit, const qni_checkpoint_tensors *list,
                            const qni_pairs *pairs) {
    qn_metadata *metadata = calloc((size_t)pairs->count + 1, sizeof(*metadata));
    if (!metadata || pairs->failed) {
        free(metadata);
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "fit: out of memory for a checkpoint");
    }
    for (int i = 0; i < pairs->count; i++)
        metadata[i] = (qn_metadata){pairs->items[i].key, pairs->items[i].value};
    qn_status status = qn_tensors_write(fit->ctx, fit->opts.checkpoint, list->tensors, list->count,
                                        metadata, pairs->count);
    free(metadata);
    return status;
}

char *qni_checkpoint_previous(const qni_fit *fit, const char *path) {
    char *name = NULL;
    if (asprintf(&name, "%s%s", path, QNI_CHECKPOINT_PREVIOUS) >= 0)
        return name;
    qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "fit: out of memory for the name of a checkpoint");
    return NULL;
}

/** Gives the checkpoint that is there a second name, under which it stays when the next takes its
 * place; but for a run's first one, which is another run's or the one that is gone on from. Where
 * the file system has no such names there is one generation. What a process that was killed here
 * left goes in any case: the name between is the same for all. */
static qn_status keep_previous(const qni_fit *fit) {
    const char *path = fit->opts.checkpoint;
    char *previous = qni_checkpoint_previous(fit, path), *aside = NULL;
    if (!previous)
        return QN_OUT_OF_MEMORY;
    if (asprintf(&aside, "%s.tmp", previous) < 0) {
        free(previous);
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY,
                               "fit: out of memory for the name of a checkpoint");
    }
    unlink(aside);
    if (fit->checkpoint_written &&
        linkat(AT_FDCWD, path, AT_FDCWD, aside, AT_SYMLINK_FOLLOW) == 0) {
        rename(aside, previous);
        unlink(aside); /* still there when both names were one file already */
    }
    free(aside);
    free(previous);
    return QN_OK;
}

/** A fresh start leaves no generation of the run before it, which would be taken for its own. */
static qn_status forget_previous(const qni_fit *fit) {
    char *previous = qni_checkpoint_previous(fit, fit->opts.checkpoint);
    if (!previous)
        return QN_OUT_OF_MEMORY;
    unlink(previous);
    free(previous);
    return QN_OK;
}

static qn_status save_state(qni_fit *fit, const qni_checkpoint_tensors *list) {
    qni_pairs pairs = {0};
    qni_pairs_add(&pairs, QNI_CHECKPOINT_KEY, "%s", QNI_CHECKPOINT_VERSION);
    add_origin(fit, &pairs);
    add_state(fit, &pairs);
    qn_status status = keep_previous(fit);
    if (status == QN_OK)
        status = write_file(fit, list, &pairs);
    qni_pairs_free(&pairs);
    if (status == QN_OK && !fit->checkpoint_written && !fit->opts.resume)
        status = forget_previous(fit);
    fit->checkpoint_written |= status == QN_OK;
    return status;
}

qn_status qni_checkpoint_save(qni_fit *fit) {
    qni_checkpoint_tensors list;
    qn_status status = qni_checkpoint_collect(fit, true, &list);
    if (status != QN_OK)
        return status;
    status = save_state(fit, &list);
    qni_checkpoint_tensors_free(&list);
    return status;
}
