/* fuzz_corpus.c: random bytes as labelled texts, in each format. */
#include "fuzz_file.h"

/* What can be read is also taken apart and made numbers of. */
static void use(qn_context *ctx, qn_corpus *corpus) {
    qn_corpus *rest = NULL, *part = qn_corpus_split(corpus, 0.5, 1, &rest);
    qn_context_clear_error(ctx); /* of a single text there are no parts */
    const qn_vocabulary_opts opts = {.tokenizer = {.ngrams = 2, .buckets = 10}, .max_size = 100};
    qn_vocabulary *vocabulary = qn_vocabulary_new(part ? part : corpus, &opts);
    qn_dataset *dataset = qn_text_dataset(corpus, vocabulary, 0);
    fuzz_check(ctx, dataset);
    qn_dataset_free(dataset);
    qn_vocabulary_free(vocabulary);
    qn_corpus_free(part);
    qn_corpus_free(rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    for (int i = 0; i < 6; i++) {
        static const qn_text_format formats[] = {QN_TEXT_AUTO, QN_TEXT_CSV, QN_TEXT_FASTTEXT,
                                                 QN_TEXT_TREC};
        const qn_corpus_opts opts = {.format = formats[i % 4], .delimiter = i < 4 ? NULL : "|"};
        qn_context *ctx = fuzz_context();
        qn_corpus *corpus = qn_corpus_open(ctx, path, &opts);
        fuzz_check(ctx, corpus);
        if (corpus)
            use(ctx, corpus);
        qn_corpus_free(corpus);
    }
    return 0;
}
