/* vocabulary_pack.c: vocabularies as bytes.
 *
 *   offset  bytes
 *   0       7      "QNVOCAB"
 *   7       1      version: 1
 *   8       4      1: letters keep their case; 0: they do not
 *   12      4      longest n-gram
 *   16      8      buckets of n-grams, 0 without any
 *   24      8      number of words
 *   32             the words in UTF-8, in order of their numbers, each with a zero after it
 *
 * Numbers are little-endian. */
#include <stdlib.h>
#include <string.h>

#include "data/text_bytes.h"
#include "vocabulary.h"

enum { HEADER_BYTES = 32, AT_CASE = 8, AT_NGRAMS = 12, AT_BUCKETS = 16, AT_WORDS = 24 };

static const char magic[] = "QNVOCAB\1"; /* with the version */

static void put_number(uint8_t *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_number(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

qn_tensor *qn_vocabulary_pack(qn_context *ctx, const qn_vocabulary *v) {
    if (!ctx || !v) {
        qn_context_fail(ctx ? ctx
                        : v ? v->ctx
                            : NULL,
                        QN_INVALID_ARGUMENT, "vocabulary_pack: %s is NULL",
                        ctx ? "vocabulary" : "the context");
        return NULL;
    }
    if (!qn_object_alive(v, "vocabulary_pack"))
        return NULL;
    size_t size = HEADER_BYTES + v->words.strings.used;
    uint8_t *bytes = calloc(1, size);
    if (!bytes) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory for a packed vocabulary");
        return NULL;
    }
    memcpy(bytes, magic, sizeof(magic) - 1);
    put_number(bytes + AT_CASE, v->tokenizer.keep_case, 4);
    put_number(bytes + AT_NGRAMS, (uint64_t)v->tokenizer.ngrams, 4);
    put_number(bytes + AT_BUCKETS, (uint64_t)v->tokenizer.buckets, 8);
    put_number(bytes + AT_WORDS, (uint64_t)v->words.strings.count, 8);
    if (v->words.strings.used > 0)
        memcpy(bytes + HEADER_BYTES, v->words.strings.bytes, v->words.strings.used);
    qn_tensor *packed = qn_from_data(ctx, QN_U8, QN_SHAPE((int64_t)size), bytes);
    free(bytes);
    return packed;
}

static qn_status bad(qn_context *ctx, size_t offset, const char *what) {
    return qn_context_fail(ctx, QN_BAD_FORMAT, "packed vocabulary: offset %zu: %s", offset, what);
}

/* Checks the header; what it says of the tokenizer goes to *out. */
static qn_status check_header(qn_context *ctx, const qni_bytes *packed, qn_tokenizer_opts *out) {
    if (packed->size < HEADER_BYTES)
        return bad(ctx, packed->size, "ends inside the header");
    if (memcmp(packed->data, magic, sizeof(magic) - 1) != 0)
        return bad(ctx, 0, "expected \"QNVOCAB\" and version 1");
    uint64_t keep_case = get_number(packed->data + AT_CASE, 4);
    uint64_t ngrams = get_number(packed->data + AT_NGRAMS, 4);
    uint64_t buckets = get_number(packed->data + AT_BUCKETS, 8);
    if (keep_case > 1)
        return bad(ctx, AT_CASE, "expected 0 or 1");
    if (ngrams < 1 || ngrams > QNI_MAX_NGRAMS)
        return bad(ctx, AT_NGRAMS, "expected n-grams of 1 to 8 words");
    if (buckets > QNI_MAX_BUCKETS || (buckets == 0) != (ngrams == 1))
        return bad(ctx, AT_BUCKETS, "expected buckets, 2^30 at most, only where there are n-grams");
    *out = (qn_tokenizer_opts){
        .keep_case = keep_case, .ngrams = (int)ngrams, .buckets = (int64_t)buckets};
    return QN_OK;
}

static qn_status take_words(qn_vocabulary *v, const qni_bytes *packed) {
    const uint64_t count = get_number(packed->data + AT_WORDS, 8);
    size_t at = HEADER_BYTES;
    for (uint64_t i = 0; i < count; i++) {
        const char *word = (const char *)packed->data + at;
        const char *end = at < packed->size ? memchr(word, 0, packed->size - at) : NULL;
        if (!end || i >= QNI_MAX_WORDS)
            return bad(v->ctx, at, "ends before its words do");
        size_t length = (size_t)(end - word);
        if (length == 0 || qn_utf8_prefix(word, length) < length)
            return bad(v->ctx, at, "expected a word in UTF-8");
        int64_t index = qni_string_table_add(&v->words, word, length);
        if (index < 0)
            return qn_context_fail(v->ctx, QN_OUT_OF_MEMORY, "out of memory for a vocabulary");
        if ((uint64_t)index != i)
            return bad(v->ctx, at, "a word that was there before");
        at += length + 1;
    }
    return at == packed->size ? QN_OK : bad(v->ctx, at, "bytes after the last word");
}

static qn_vocabulary *unpack(qn_context *ctx, const qni_bytes *packed) {
    qn_tokenizer_opts tokenizer;
    if (check_header(ctx, packed, &tokenizer) != QN_OK)
        return NULL;
    qn_vocabulary *v = qni_vocabulary_alloc(ctx, &tokenizer);
    if (v && take_words(v, packed) != QN_OK) {
        qn_vocabulary_free(v);
        return NULL;
    }
    return v;
}

qn_vocabulary *qn_vocabulary_unpack(const qn_tensor *packed) {
    qn_context *ctx = qn_tensor_context(packed);
    if (!packed || qn_context_error(ctx, NULL) != QN_OK)
        return NULL;
    qn_shape shape = qn_tensor_shape(packed);
    if (qn_tensor_dtype(packed) != QN_U8 || shape.rank != 1) {
        qn_context_fail(ctx, QN_BAD_FORMAT,
                        "packed vocabulary: %s of rank %d, expected u8 of rank 1",
                        qn_dtype_string(qn_tensor_dtype(packed)), shape.rank);
        return NULL;
    }
    qni_bytes bytes = {malloc((size_t)shape.dim[0] + 1), (size_t)shape.dim[0]};
    qn_vocabulary *v = NULL;
    if (!bytes.data) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory for an unpacked vocabulary");
    } else if (qn_tensor_read(packed, bytes.data, bytes.size) == QN_OK) {
        v = unpack(ctx, &bytes);
    }
    free(bytes.data);
    return v;
}
