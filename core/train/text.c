/* text.c: settings and times in words, for checkpoints, log and report. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fit.h"

void qni_pairs_add(qni_pairs *pairs, const char *key, const char *format, ...) {
    if (pairs->count == pairs->capacity) {
        int capacity = pairs->capacity ? 2 * pairs->capacity : 32;
        qni_pair *items = realloc(pairs->items, (size_t)capacity * sizeof(*items));
        if (!items) {
            pairs->failed = true;
            return;
        }
        pairs->items = items;
        pairs->capacity = capacity;
    }
    qni_pair *pair = &pairs->items[pairs->count++];
    snprintf(pair->key, sizeof(pair->key), "%s", key);
    void *locale = qn_locale_enter();
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pair->value, sizeof(pair->value), format, arguments);
    va_end(arguments);
    qn_locale_leave(locale);
}

void qni_pairs_add_number(qni_pairs *pairs, const char *key, double value) {
    char text[40];
    void *locale = qn_locale_enter();
    snprintf(text, sizeof(text), "%.15g", value);
    bool exact = strtod(text, NULL) == value;
    qn_locale_leave(locale);
    qni_pairs_add(pairs, key, "%.*g", exact ? 15 : 17, value);
}

void qni_pairs_free(qni_pairs *pairs) {
    free(pairs->items);
    *pairs = (qni_pairs){0};
}

/** Adds a setting under its label, or under its name with spaces. */
static void add_setting(const qn_setting *setting, const void *object, qni_pairs *out) {
    char key[sizeof(out->items->key)];
    snprintf(key, sizeof(key), "%s", setting->label ? setting->label : setting->name);
    for (char *c = key; !setting->label && *c; c++)
        *c = *c == '_' ? ' ' : *c;
    qni_pairs_add_number(out, key, qn_setting_value(setting, object));
}

static void add_optimizer(const qn_optimizer_spec *spec, qni_pairs *out) {
    const qn_setting *setting;
    qni_pairs_add(out, "optimizer", "%s", spec->kind->name);
    for (int i = 0; (setting = qn_optimizer_setting(spec->kind, i)); i++)
        add_setting(setting, spec, out);
}

static void add_schedule(const qn_schedule *schedule, int epochs, qni_pairs *out) {
    const qn_schedule_kind *kind = schedule->kind;
    const qn_setting *setting;
    qni_pairs_add(out, "schedule", "%s", kind->name);
    /* The other schedules do not look at the end, so such a run may be made longer. */
    qni_pairs_add_number(out, "schedule epochs", kind->whole_run ? epochs : 0);
    for (int i = 0; (setting = qn_schedule_setting(kind, i)); i++)
        add_setting(setting, schedule, out);
}

void qni_fit_settings(const qni_fit *fit, qni_pairs *out) {
    const qn_fit_opts *opts = &fit->opts;
    qni_pairs_add(out, "training samples", "%lld", (long long)qn_dataset_info(fit->train)->count);
    qni_pairs_add(out, "batch size", "%lld%s", (long long)opts->batch_size,
                  opts->drop_last ? ", full ones only" : "");
    qni_pairs_add(out, "seed", "%llu", (unsigned long long)opts->seed);
    add_optimizer(&opts->optimizer, out);
    add_schedule(&opts->schedule, opts->epochs, out);
    qni_pairs_add_number(out, "augment shift", opts->augment.shift);
    qni_pairs_add_number(out, "augment rotate", opts->augment.rotate);
    qni_pairs_add_number(out, "augment scale", opts->augment.scale);
    qni_pairs_add_number(out, "augment shear", opts->augment.shear);
    qni_pairs_add_number(out, "early stop", opts->early_stop);
    qni_pairs_add_number(out, "restore best", opts->restore_best);
}

const char *qni_clock_text(double seconds, char out[24]) {
    int whole = seconds > 0 && seconds < 1e9 ? (int)(seconds + 0.5) : 0;
    int hours = whole / 3600, minutes = whole / 60 % 60;
    if (hours)
        snprintf(out, 24, "%d:%02d:%02d", hours, minutes, whole % 60);
    else
        snprintf(out, 24, "%d:%02d", minutes, whole % 60);
    return out;
}
