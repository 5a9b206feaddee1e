/* corpus_build.c: what readers of text files find becomes a corpus. */
#include <stdlib.h>
#include <string.h>

#include "corpus_build.h"

enum { SHOWN_BYTES = 60 }; /* of a label in a message */

/* A class, to be sorted by name. */
typedef struct named_class {
    const char *name;
    int64_t number;
} named_class;

static qn_status out_of_memory(const qni_corpus_builder *b) {
    return qn_context_fail(b->ctx, QN_OUT_OF_MEMORY, "%s:%lld: out of memory for the texts",
                           b->path, (long long)b->line);
}

/* Adds a number to an array; false when memory is out. */
static bool push(int64_t **numbers, int64_t count, int64_t *room, int64_t number) {
    if (count == *room) {
        int64_t more = 2 * count + 16;
        int64_t *grown = realloc(*numbers, (size_t)more * sizeof(*grown));
        if (!grown)
            return false;
        *numbers = grown;
        *room = more;
    }
    (*numbers)[count] = number;
    return true;
}

qn_status qni_corpus_add_label(qni_corpus_builder *b, const char *label, size_t length) {
    qni_trim(&label, &length);
    if (length == 0 || qni_has_control(label, length)) {
        return qn_context_fail(b->ctx, QN_BAD_FORMAT, "%s:%lld: %s, expected the name of a class",
                               b->path, (long long)b->line,
                               length ? "a label with a control character" : "an empty label");
    }
    int64_t number = b->given ? qni_string_table_find(&b->classes, label, length)
                              : qni_string_table_add(&b->classes, label, length);
    if (number < 0 && b->given) {
        return qn_context_fail(b->ctx, QN_BAD_FORMAT,
                               "%s:%lld: label \"%.*s\", expected one of the %lld classes of %s",
                               b->path, (long long)b->line,
                               (int)(length < SHOWN_BYTES ? length : SHOWN_BYTES), label,
                               (long long)qn_corpus_classes(b->given), b->given->whole->path);
    }
    if (number < 0 || !push(&b->corpus->labels, b->label_count, &b->label_room, number))
        return out_of_memory(b);
    b->label_count++;
    return QN_OK;
}

static int compare_numbers(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts labels, leaves out what is there twice, and gives the number of those that remain. */
static int64_t sort_labels(int64_t *labels, int64_t count) {
    qsort(labels, (size_t)count, sizeof(*labels), compare_numbers);
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || labels[i] != labels[i - 1])
            labels[kept++] = labels[i];
    }
    return kept;
}

qn_status qni_corpus_add_text(qni_corpus_builder *b, const char *text, size_t length) {
    qn_corpus *corpus = b->corpus;
    int64_t start = corpus->count ? corpus->label_starts[corpus->count] : 0;
    int64_t labels = sort_labels(corpus->labels + start, b->label_count - start);
    if (labels > 1 && b->given && !qn_corpus_multi_label(b->given)) {
        return qn_context_fail(b->ctx, QN_BAD_FORMAT, "%s:%lld: %lld labels, expected one as in %s",
                               b->path, (long long)b->line, (long long)labels,
                               b->given->whole->path);
    }
    corpus->multi_label = corpus->multi_label || labels > 1;
    b->label_count = start + labels;
    if ((corpus->count == 0 && !push(&corpus->label_starts, 0, &b->start_room, 0)) ||
        !push(&corpus->label_starts, corpus->count + 1, &b->start_room, b->label_count) ||
        !push(&corpus->lines, corpus->count, &b->line_room, b->line) ||
        !qni_strings_add(&corpus->texts, text, length)) {
        return out_of_memory(b);
    }
    corpus->count++;
    return QN_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const named_class *)a)->name, ((const named_class *)b)->name);
}

/* Numbers classes by name: rank[i] is the new number of class i. */
static bool rank_classes(qni_corpus_builder *b, named_class *sorted, int64_t *rank) {
    const qni_strings *names = &b->classes.strings;
    for (int64_t i = 0; i < names->count; i++) {
        sorted[i] = (named_class){qni_strings_at(names, i), i};
    }
    qsort(sorted, (size_t)names->count, sizeof(*sorted), compare_names);
    for (int64_t i = 0; i < names->count; i++) {
        rank[sorted[i].number] = i;
        if (!qni_strings_add(&b->corpus->classes, sorted[i].name, strlen(sorted[i].name)))
            return false;
    }
    return true;
}

static void renumber_labels(qn_corpus *corpus, const int64_t *rank) {
    for (int64_t i = 0; i < corpus->count; i++) {
        int64_t start = corpus->label_starts[i], end = corpus->label_starts[i + 1];
        for (int64_t j = start; j < end; j++)
            corpus->labels[j] = rank[corpus->labels[j]];
        sort_labels(corpus->labels + start, end - start);
    }
}

qn_status qni_corpus_finish(qni_corpus_builder *b) {
    if (b->corpus->count == 0)
        return qn_context_fail(b->ctx, QN_BAD_FORMAT, "%s: there are no texts", b->path);
    size_t classes = (size_t)b->classes.strings.count;
    named_class *sorted = calloc(classes, sizeof(*sorted));
    int64_t *rank = calloc(classes, sizeof(*rank));
    bool done = sorted && rank && rank_classes(b, sorted, rank);
    if (done)
        renumber_labels(b->corpus, rank);
    free(sorted);
    free(rank);
    return done ? QN_OK : out_of_memory(b);
}
