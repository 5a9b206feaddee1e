/* corpus_split.c: parts of a corpus, each class in the same proportion. */
#include <math.h>
#include <stdlib.h>

#include "corpus.h"
#include "data/random_use.h"

/* A text to be placed: sorted by class, and at random within a class. */
typedef struct placed_text {
    int64_t label, index;
    uint64_t key;
} placed_text;

/* Which places of the sorted texts are taken. */
typedef struct division {
    double fraction; /* this part of every run of places */
    int folds, fold; /* or, with folds > 0, all but every folds-th place */
} division;

static int compare_placed(const void *a, const void *b) {
    const placed_text *x = a, *y = b;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static placed_text *place_texts(const qn_corpus *corpus, uint64_t seed) {
    placed_text *texts = calloc((size_t)corpus->count, sizeof(*texts));
    for (int64_t i = 0; texts && i < corpus->count; i++) {
        const int64_t *labels;
        qn_corpus_labels(corpus, i, &labels);
        qn_random_block block = qni_random_at(seed, i, 0, QNI_RANDOM_SPLIT);
        texts[i] = (placed_text){labels[0], i, (uint64_t)block.word[0] << 32 | block.word[1]};
    }
    if (texts)
        qsort(texts, (size_t)corpus->count, sizeof(*texts), compare_placed);
    return texts;
}

static bool is_taken(const division *by, int64_t place) {
    if (by->folds > 0)
        return place % by->folds != by->fold;
    /* So that of any number of places in a row the fraction is taken, but for rounding. */
    double before = floor((double)place * by->fraction + 0.5);
    return floor((double)(place + 1) * by->fraction + 0.5) > before;
}

/* The texts whose mark is `mark`, as a part; NULL on failure. */
static qn_corpus *make_part(const qn_corpus *corpus, const bool *taken, bool mark) {
    int64_t count = 0;
    for (int64_t i = 0; i < corpus->count; i++)
        count += taken[i] == mark;
    if (count == 0) {
        qn_context_fail(corpus->ctx, QN_INVALID_ARGUMENT,
                        "%s: a part would be without texts, there are %lld to divide",
                        corpus->whole->path, (long long)corpus->count);
        return NULL;
    }
    qn_corpus *part = qni_corpus_new(corpus->ctx, corpus->whole);
    if (!part)
        return NULL;
    part->rows = malloc((size_t)count * sizeof(*part->rows));
    if (!part->rows) {
        qn_corpus_free(part);
        qn_context_fail(corpus->ctx, QN_OUT_OF_MEMORY, "out of memory for a part of a corpus");
        return NULL;
    }
    for (int64_t i = 0; i < corpus->count; i++) {
        if (taken[i] == mark)
            part->rows[part->count++] = corpus->rows ? corpus->rows[i] : i;
    }
    return part;
}

/* The texts that are taken; *others, unless NULL, gets the rest. */
static qn_corpus *divide(const qn_corpus *corpus, uint64_t seed, const division *by,
                         qn_corpus **others) {
    placed_text *texts = place_texts(corpus, seed);
    bool *taken = calloc((size_t)corpus->count, sizeof(*taken));
    qn_corpus *part = NULL, *rest = NULL;
    if (texts && taken) {
        for (int64_t place = 0; place < corpus->count; place++)
            taken[texts[place].index] = is_taken(by, place);
        part = make_part(corpus, taken, true);
        rest = part ? make_part(corpus, taken, false) : NULL;
    } else {
        qn_context_fail(corpus->ctx, QN_OUT_OF_MEMORY, "out of memory for the parts of a corpus");
    }
    free(texts);
    free(taken);
    if (!rest) {
        qn_corpus_free(part);
        return NULL;
    }
    if (others) {
        *others = rest;
    } else {
        qn_corpus_free(rest);
    }
    return part;
}

qn_corpus *qn_corpus_split(const qn_corpus *corpus, double fraction, uint64_t seed,
                           qn_corpus **rest) {
    if (rest)
        *rest = NULL;
    if (!qn_object_alive(corpus, "corpus_split"))
        return NULL;
    if (!(fraction > 0 && fraction < 1)) {
        qn_context_fail(corpus->ctx, QN_INVALID_ARGUMENT,
                        "%s: fraction %g, expected one above 0 and below 1", corpus->whole->path,
                        fraction);
        return NULL;
    }
    return divide(corpus, seed, &(division){.fraction = fraction}, rest);
}

qn_corpus *qn_corpus_fold(const qn_corpus *corpus, int folds, int fold, uint64_t seed,
                          qn_corpus **held_out) {
    if (held_out)
        *held_out = NULL;
    if (!qn_object_alive(corpus, "corpus_fold"))
        return NULL;
    if (folds < 2 || folds > corpus->count || fold < 0 || fold >= folds) {
        qn_context_fail(corpus->ctx, QN_INVALID_ARGUMENT,
                        "%s: fold %d of %d, expected 2 to %lld folds, numbered from 0",
                        corpus->whole->path, fold, folds, (long long)corpus->count);
        return NULL;
    }
    return divide(corpus, seed, &(division){.folds = folds, .fold = fold}, held_out);
}
