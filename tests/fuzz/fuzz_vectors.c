/* fuzz_vectors.c: random bytes as word vectors. */
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] = "a,the of and to in a\n";
    static qn_vocabulary *vocabulary;
    static qn_tensor *table;
    qn_context *ctx = fuzz_context();
    if (!vocabulary) {
        const char *path = fuzz_file((const uint8_t *)text, sizeof(text) - 1);
        vocabulary = qn_vocabulary_new(qn_corpus_open(ctx, path, NULL), NULL);
        table = qn_keep(qn_zeros(ctx, QN_F32, QN_SHAPE(qn_vocabulary_size(vocabulary), 3)));
    }
    int64_t found;
    const char *path = fuzz_file(data, size);
    fuzz_check(ctx, qn_vectors_read(table, vocabulary, path, &found) == QN_OK);
    return 0;
}
