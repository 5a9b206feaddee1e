/* fuzz_vocabulary.c: random bytes as a packed vocabulary, and as text that is encoded. */
#include "fuzz_file.h"

#include <string.h>

/* Encodes the bytes, up to their first zero; what comes out must be numbers of the vocabulary. */
static void encode(const qn_vocabulary *vocabulary, const uint8_t *data, size_t size) {
    int64_t ids[64];
    char *text = strndup((const char *)data, size);
    int64_t count = text ? qn_vocabulary_encode(vocabulary, text, ids, 64) : -1;
    if (count < 1)
        abort();
    for (int64_t i = 0; i < count && i < 64; i++) {
        if (ids[i] < QN_TOKEN_UNKNOWN || ids[i] >= qn_vocabulary_size(vocabulary))
            abort();
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    qn_context *ctx = fuzz_context();
    qn_tensor *packed = qn_from_data(ctx, QN_U8, QN_SHAPE((int64_t)size), data);
    qn_vocabulary *vocabulary = qn_vocabulary_unpack(packed);
    fuzz_check(ctx, vocabulary);
    if (vocabulary) {
        encode(vocabulary, data, size);
        encode(vocabulary, data + 32, size - 32); /* its own words */
    }
    qn_vocabulary_free(vocabulary);
    qn_step_end(ctx);
    return 0;
}
