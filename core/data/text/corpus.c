/* corpus.c: labelled texts in memory. */
#include <stdlib.h>

#include "corpus.h"

static void destroy_corpus(void *object) {
    qn_corpus *corpus = object;
    free(corpus->path);
    qni_strings_free(&corpus->texts);
    qni_strings_free(&corpus->classes);
    free(corpus->labels);
    free(corpus->label_starts);
    free(corpus->lines);
    free(corpus->rows);
    if (corpus->whole != corpus)
        qn_object_let_go(corpus->whole);
}

qn_corpus *qni_corpus_new(qn_context *ctx, const qn_corpus *whole) {
    qn_corpus *corpus = qn_object_new(ctx, "corpus", sizeof(*corpus), destroy_corpus);
    if (!corpus)
        return NULL;
    corpus->ctx = ctx;
    corpus->whole = whole ? whole : corpus;
    qn_object_hold(whole);
    return corpus;
}

void qn_corpus_free(qn_corpus *corpus) { qn_object_free(corpus, "corpus_free"); }

int64_t qn_corpus_count(const qn_corpus *corpus) {
    return qn_object_alive(corpus, "corpus_count") ? corpus->count : 0;
}

int64_t qn_corpus_classes(const qn_corpus *corpus) {
    return qn_object_alive(corpus, "corpus_classes") ? corpus->whole->classes.count : 0;
}

const char *qn_corpus_class(const qn_corpus *corpus, int64_t index) {
    bool there = index >= 0 && index < qn_corpus_classes(corpus);
    return there ? qni_strings_at(&corpus->whole->classes, index) : NULL;
}

const char *qn_corpus_notes(const qn_corpus *corpus) {
    return qn_object_alive(corpus, "corpus_notes") ? corpus->whole->notes.text : "";
}

bool qn_corpus_multi_label(const qn_corpus *corpus) {
    return qn_object_alive(corpus, "corpus_multi_label") && corpus->whole->multi_label;
}

/* The whole's text that is a part's text `index`; -1 if there is none. */
static int64_t find_row(const qn_corpus *corpus, int64_t index) {
    if (index < 0 || index >= qn_corpus_count(corpus))
        return -1;
    return corpus->rows ? corpus->rows[index] : index;
}

const char *qn_corpus_text(const qn_corpus *corpus, int64_t index) {
    int64_t row = find_row(corpus, index);
    return row < 0 ? NULL : qni_strings_at(&corpus->whole->texts, row);
}

int64_t qn_corpus_line(const qn_corpus *corpus, int64_t index) {
    int64_t row = find_row(corpus, index);
    return row < 0 ? 0 : corpus->whole->lines[row];
}

const char *qn_corpus_path(const qn_corpus *corpus) {
    return qn_object_alive(corpus, "corpus_path") ? corpus->whole->path : NULL;
}

int qn_corpus_labels(const qn_corpus *corpus, int64_t index, const int64_t **labels) {
    if (!labels && qn_object_alive(corpus, "corpus_labels"))
        qn_context_fail(corpus->ctx, QN_INVALID_ARGUMENT, "corpus_labels: labels is NULL");
    int64_t row = labels ? find_row(corpus, index) : -1;
    if (row < 0) {
        if (labels)
            *labels = NULL;
        return 0;
    }
    const int64_t *starts = corpus->whole->label_starts;
    *labels = corpus->whole->labels + starts[row];
    return (int)(starts[row + 1] - starts[row]);
}
