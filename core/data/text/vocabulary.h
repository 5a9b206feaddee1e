/* vocabulary.h: the numbers of tokens. */
#ifndef QUERN_VOCABULARY_H
#define QUERN_VOCABULARY_H

#include "data/string_table.h"

/* What a vocabulary may have, whoever asks: numbers then fit 32 bits. */
enum { QNI_MAX_NGRAMS = 8, QNI_MAX_WORDS = 1 << 29, QNI_MAX_BUCKETS = 1 << 30 };

struct qn_vocabulary {
    qn_context *ctx;
    qn_tokenizer_opts tokenizer; /* without defaults; buckets 0 when ngrams is 1 */
    qni_string_table words;      /* word i has number QN_TOKEN_FIRST_WORD + i */
};

/** A vocabulary without words, owned by the context; NULL on failure. */
qn_vocabulary *qni_vocabulary_alloc(qn_context *ctx, const qn_tokenizer_opts *tokenizer);

/** The number of a word; QN_TOKEN_UNKNOWN if it is not there. */
int64_t qni_vocabulary_find(const qn_vocabulary *vocabulary, const char *word, size_t length);

#endif
