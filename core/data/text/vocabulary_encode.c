/* vocabulary_encode.c: the numbers of a text's words and n-grams. */
#include <stdlib.h>

#include "tokenizer.h"
#include "vocabulary.h"

/* Numbers that are being written. */
typedef struct encoder {
    const qn_vocabulary *vocabulary;
    int64_t *ids, limit, count;
    uint64_t *hashes; /* of the words, where n-grams will be made of them */
    int64_t room;
} encoder;

static void put(encoder *e, int64_t id) {
    if (e->count < e->limit)
        e->ids[e->count] = id;
    e->count++;
}

static bool put_word(void *data, const char *token, size_t length) {
    encoder *e = data;
    if (e->vocabulary->tokenizer.ngrams > 1) {
        if (e->count == e->room) {
            int64_t room = 2 * e->count + 64;
            uint64_t *hashes = realloc(e->hashes, (size_t)room * sizeof(*hashes));
            if (!hashes)
                return false;
            e->hashes = hashes;
            e->room = room;
        }
        e->hashes[e->count] = qni_hash(QNI_HASH_START, token, length);
    }
    put(e, qni_vocabulary_find(e->vocabulary, token, length));
    return true;
}

/* Puts the n-grams of the first `words` tokens: the hash of their words' hashes, byte by byte from
 * the low end on any machine, names the bucket. */
static void put_ngrams(encoder *e, int64_t words) {
    const qn_vocabulary *v = e->vocabulary;
    const int64_t first = QN_TOKEN_FIRST_WORD + v->words.strings.count;
    for (int n = 2; n <= v->tokenizer.ngrams; n++) {
        for (int64_t i = 0; i + n <= words; i++) {
            uint64_t hash = QNI_HASH_START;
            for (int64_t j = i; j < i + n; j++) {
                for (int shift = 0; shift < 64; shift += 8) {
                    hash = qni_hash(hash, &(uint8_t){(uint8_t)(e->hashes[j] >> shift)}, 1);
                }
            }
            put(e, first + (int64_t)(hash % (uint64_t)v->tokenizer.buckets));
        }
    }
}

int64_t qn_vocabulary_encode(const qn_vocabulary *v, const char *text, int64_t *ids,
                             int64_t limit) {
    if (!qn_object_alive(v, "vocabulary_encode"))
        return -1;
    if (!text || (!ids && limit > 0)) {
        qn_context_fail(v->ctx, QN_INVALID_ARGUMENT, "vocabulary_encode: %s is NULL",
                        text ? "ids" : "text");
        return -1;
    }
    encoder e = {.vocabulary = v, .ids = ids, .limit = limit};
    bool done = qni_tokenize(text, v->tokenizer.keep_case, put_word, &e);
    if (done)
        put_ngrams(&e, e.count);
    free(e.hashes);
    if (!done) {
        qn_context_fail(v->ctx, QN_OUT_OF_MEMORY, "out of memory while encoding a text");
        return -1;
    }
    if (e.count == 0)
        put(&e, QN_TOKEN_UNKNOWN);
    return e.count;
}
