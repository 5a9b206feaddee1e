/* series_arrange.c: items in the order that a model knows them in. */
#include <stdlib.h>
#include <string.h>

#include "series_data.h"

/** from[i] is the item that comes to place i; an error where names and items differ. */
static qn_status match_items(const qn_series *s, const qni_string_table *items,
                             const char *const *names, int64_t count, int64_t *from, bool *taken) {
    for (int64_t i = 0; i < count; i++) {
        from[i] = qni_string_table_find(items, names[i], strlen(names[i]));
        if (from[i] < 0 || taken[from[i]])
            return qn_context_fail(s->ctx, QN_INVALID_ARGUMENT, "series: there is no item '%s'",
                                   names[i]);
        taken[from[i]] = true;
    }
    for (int64_t i = 0; i < s->items; i++)
        if (!taken[i])
            return qn_context_fail(s->ctx, QN_INVALID_ARGUMENT,
                                   "series: item '%s' is not among the %lld that are expected",
                                   qni_strings_at(&s->names, i), (long long)count);
    return QN_OK;
}

/** numbers[i] = numbers[from[i]], by way of `scratch`. */
static void reorder(int64_t *numbers, const int64_t *from, int64_t count, int64_t *scratch) {
    memcpy(scratch, numbers, (size_t)count * sizeof(*numbers));
    for (int64_t i = 0; i < count; i++)
        numbers[i] = scratch[from[i]];
}

/** What an arrangement needs room for. */
typedef struct arrangement {
    qni_string_table items; /* as they are, to be found by name */
    qni_strings names;      /* as they will be */
    int64_t *from, *scratch;
    bool *taken;
} arrangement;

static void free_arrangement(arrangement *a) {
    qni_string_table_free(&a->items);
    qni_strings_free(&a->names);
    free(a->from);
    free(a->scratch);
    free(a->taken);
}

static bool take_memory(arrangement *a, const qn_series *s, const char *const *names,
                        int64_t count) {
    const size_t most = (size_t)(count > s->items ? count : s->items);
    a->from = calloc(most, sizeof(*a->from));
    a->scratch = calloc(most, sizeof(*a->scratch));
    a->taken = calloc(most, sizeof(*a->taken));
    bool done = a->from && a->scratch && a->taken;
    for (int64_t i = 0; i < s->items && done; i++) {
        const char *name = qni_strings_at(&s->names, i);
        done = qni_string_table_add(&a->items, name, strlen(name)) >= 0;
    }
    for (int64_t i = 0; i < count && done; i++)
        done = qni_strings_add(&a->names, names[i], strlen(names[i]));
    return done;
}

qn_status qn_series_arrange(qn_series *s, const char *const *names, int64_t count) {
    if (!qn_object_alive(s, "series_arrange"))
        return QN_INVALID_ARGUMENT;
    if (!names || count <= 0)
        return qn_context_fail(s->ctx, QN_INVALID_ARGUMENT, "series: no names of items");
    arrangement a = {.from = NULL};
    qn_status status =
        take_memory(&a, s, names, count)
            ? match_items(s, &a.items, names, count, a.from, a.taken)
            : qn_context_fail(s->ctx, QN_OUT_OF_MEMORY, "series: out of memory for %lld items",
                              (long long)count);
    if (status == QN_OK) {
        const qni_strings before = s->names;
        reorder(s->start, a.from, count, a.scratch);
        reorder(s->end, a.from, count, a.scratch);
        reorder(s->offset, a.from, count, a.scratch);
        s->names = a.names;
        a.names = before;
    }
    free_arrangement(&a);
    return status;
}
