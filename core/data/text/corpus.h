/* corpus.h: labelled texts in memory. */
#ifndef QUERN_CORPUS_H
#define QUERN_CORPUS_H

#include "data/notes.h"
#include "data/string_table.h"

struct qn_corpus {
    qn_context *ctx;
    const qn_corpus
        *whole;    /* which holds texts, classes and labels: itself unless this is a part */
    int64_t *rows; /* of the whole's texts, those of this part; NULL: all */
    int64_t count;
    /* What the whole has. */
    char *path;
    qni_strings texts, classes;
    int64_t *lines;                 /* where each text begins in its file */
    int64_t *labels, *label_starts; /* text i's labels are those from label_starts[i] to [i + 1] */
    bool multi_label;
    qni_notes notes; /* what was guessed of the file */
};

/** A corpus without texts, or a part of `whole`; owned by the context. NULL on failure. */
qn_corpus *qni_corpus_new(qn_context *ctx, const qn_corpus *whole);

#endif
