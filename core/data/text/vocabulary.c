/* vocabulary.c: counts the words of a corpus, and numbers them. */
#include <stdlib.h>
#include <string.h>

#include "corpus.h"
#include "tokenizer.h"
#include "vocabulary.h"

static const int64_t DEFAULT_BUCKETS = 1 << 16;

/* Words of a corpus, numbered by first appearance, and how often each occurs. */
typedef struct word_counts {
    qni_string_table words;
    int64_t *counts;
    int64_t room;
} word_counts;

/* A word that is to be ranked. */
typedef struct ranked_word {
    int64_t count, number;
} ranked_word;

static void destroy_vocabulary(void *object) {
    qn_vocabulary *v = object;
    qni_string_table_free(&v->words);
}

qn_vocabulary *qni_vocabulary_alloc(qn_context *ctx, const qn_tokenizer_opts *tokenizer) {
    qn_vocabulary *v = qn_object_new(ctx, "vocabulary", sizeof(*v), destroy_vocabulary);
    if (!v)
        return NULL;
    v->ctx = ctx;
    v->tokenizer = *tokenizer;
    return v;
}

void qn_vocabulary_free(qn_vocabulary *v) { qn_object_free(v, "vocabulary_free"); }

static bool count_word(void *data, const char *token, size_t length) {
    word_counts *all = data;
    int64_t number = qni_string_table_add(&all->words, token, length);
    if (number < 0)
        return false;
    if (number == all->room) {
        int64_t room = 2 * number + 1024;
        int64_t *counts = realloc(all->counts, (size_t)room * sizeof(*counts));
        if (!counts)
            return false;
        memset(counts + number, 0, (size_t)(room - number) * sizeof(*counts));
        all->counts = counts;
        all->room = room;
    }
    all->counts[number]++;
    return true;
}

static int compare_ranked(const void *a, const void *b) {
    const ranked_word *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* Gives the vocabulary the words that are common enough, most common first. */
static bool take_words(qn_vocabulary *v, const word_counts *all, const qn_vocabulary_opts *opts) {
    int64_t count = all->words.strings.count;
    int64_t limit = opts->max_size > 0 ? opts->max_size : QNI_MAX_WORDS;
    ranked_word *ranked = malloc((size_t)(count + 1) * sizeof(*ranked));
    bool done = ranked;
    for (int64_t i = 0; done && i < count; i++) {
        ranked[i] = (ranked_word){all->counts[i], i};
    }
    if (done)
        qsort(ranked, (size_t)count, sizeof(*ranked), compare_ranked);
    for (int64_t i = 0; done && i < count && i < limit && ranked[i].count >= opts->min_count; i++) {
        const char *word = qni_strings_at(&all->words.strings, ranked[i].number);
        done = qni_string_table_add(&v->words, word, strlen(word)) >= 0;
    }
    free(ranked);
    return done;
}

/* What is wrong with options; NULL if nothing is. Sets the defaults. */
static const char *complete_opts(qn_vocabulary_opts *opts) {
    qn_tokenizer_opts *tokenizer = &opts->tokenizer;
    if (tokenizer->ngrams < 0 || tokenizer->ngrams > QNI_MAX_NGRAMS)
        return "n-grams have 1 to 8 words";
    if (tokenizer->buckets < 0 || tokenizer->buckets > QNI_MAX_BUCKETS)
        return "the number of buckets is negative or above 2^30";
    if (opts->min_count < 0 || opts->max_size < 0 || opts->max_size > QNI_MAX_WORDS)
        return "min_count or max_size is negative, or max_size above 2^29";
    tokenizer->ngrams = tokenizer->ngrams ? tokenizer->ngrams : 1;
    tokenizer->buckets = tokenizer->ngrams == 1 ? 0
                         : tokenizer->buckets   ? tokenizer->buckets
                                                : DEFAULT_BUCKETS;
    return NULL;
}

qn_vocabulary *qn_vocabulary_new(const qn_corpus *corpus, const qn_vocabulary_opts *opts) {
    qn_vocabulary_opts set = opts ? *opts : (qn_vocabulary_opts){0};
    if (!qn_object_alive(corpus, "vocabulary_new") || qn_context_error(corpus->ctx, NULL) != QN_OK)
        return NULL;
    const char *fault = complete_opts(&set);
    if (fault) {
        qn_context_fail(corpus->ctx, QN_INVALID_ARGUMENT, "vocabulary: %s", fault);
        return NULL;
    }
    qn_vocabulary *v = qni_vocabulary_alloc(corpus->ctx, &set.tokenizer);
    word_counts all = {0};
    bool done = v;
    for (int64_t i = 0; done && i < corpus->count; i++)
        done = qni_tokenize(qn_corpus_text(corpus, i), set.tokenizer.keep_case, count_word, &all);
    done = done && take_words(v, &all, &set);
    qni_string_table_free(&all.words);
    free(all.counts);
    if (!done) {
        qn_vocabulary_free(v);
        qn_context_fail(corpus->ctx, QN_OUT_OF_MEMORY, "out of memory for a vocabulary");
        return NULL;
    }
    return v;
}

int64_t qn_vocabulary_words(const qn_vocabulary *v) {
    return qn_object_alive(v, "vocabulary_words") ? v->words.strings.count : 0;
}

int64_t qn_vocabulary_size(const qn_vocabulary *v) {
    const bool alive = qn_object_alive(v, "vocabulary_size");
    return alive ? QN_TOKEN_FIRST_WORD + v->words.strings.count + v->tokenizer.buckets : 0;
}

const char *qn_vocabulary_word(const qn_vocabulary *v, int64_t id) {
    if (!qn_object_alive(v, "vocabulary_word") || id < 0 ||
        id >= QN_TOKEN_FIRST_WORD + v->words.strings.count) {
        return NULL;
    }
    return id == QN_TOKEN_PADDING   ? "<pad>"
           : id == QN_TOKEN_UNKNOWN ? "<unk>"
                                    : qni_strings_at(&v->words.strings, id - QN_TOKEN_FIRST_WORD);
}

int64_t qni_vocabulary_find(const qn_vocabulary *v, const char *word, size_t length) {
    int64_t index = qni_string_table_find(&v->words, word, length);
    return index < 0 ? QN_TOKEN_UNKNOWN : QN_TOKEN_FIRST_WORD + index;
}
