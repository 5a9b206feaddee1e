/* test_vocabulary.c: tokens, their numbers, word vectors, and datasets of texts. */
#include "reference_data.h"
#include "scratch.h"

TestSuite(vocabulary, .init = scratch_open, .fini = scratch_close);

static qn_corpus *read_text(const char *text) {
    qn_corpus *corpus = qn_corpus_open(ctx, scratch_write("texts", text, strlen(text)), NULL);
    cr_assert_not_null(corpus, "%s", qn_context_message(ctx));
    return corpus;
}

/* The vocabulary of texts, in CSV. */
static qn_vocabulary *learn(const char *text, const qn_vocabulary_opts *opts) {
    qn_vocabulary *v = qn_vocabulary_new(read_text(text), opts);
    cr_assert_not_null(v, "%s", qn_context_message(ctx));
    return v;
}

/* ---- Tokens --------------------------------------------------------------------------------- */

/* The tokens of a text are those in `expected`, separated by spaces. */
static void expect_tokens(const char *text, bool keep_case, const char *expected) {
    char file[512], found[512] = "";
    snprintf(file, sizeof(file), "__label__a %s\n", text);
    qn_vocabulary *v = learn(file, &(qn_vocabulary_opts){.tokenizer.keep_case = keep_case});
    int64_t ids[64], count = qn_vocabulary_encode(v, text, ids, 64);
    for (int64_t i = 0; i < count; i++) {
        size_t used = strlen(found);
        snprintf(found + used, sizeof(found) - used, "%s%s", i ? " " : "",
                 qn_vocabulary_word(v, ids[i]));
    }
    cr_expect_str_eq(found, expected);
}

Test(vocabulary, english_tokens_are_those_of_kim) {
    expect_tokens("What's an IQ-test, 3.5 or so?", false, "what 's an iq test , 3 5 or so ?");
    expect_tokens("They've (don't) we'll you're he'd CAN'T", false,
                  "they 've ( do n't ) we 'll you 're he 'd ca n't");
    expect_tokens("`` Nine '' rock 'n' roll's", false, "`` nine '' rock 'n' roll 's");
    expect_tokens("$5 a_b <tag> \"q\" ; wow!!", false, "5 a b tag q wow ! !");
    expect_tokens("Keep The Case DON'T", true, "Keep The Case DO N'T");
}

Test(vocabulary, tokens_of_other_scripts) {
    expect_tokens("Stra\xc3\x9f"
                  "e CAF\xc3\x89 cafe\xcc\x81",
                  false, "strasse caf\xc3\xa9 caf\xc3\xa9");
    expect_tokens("it\xe2\x80\x99s \xef\xbc\xa1\xef\xbc\x82\xef\xbc\xa2", false, "it 's a b");
    expect_tokens("\xc2\xbfqu\xc3\xa9? \xe2\x82\xac"
                  "5",
                  false, "\xc2\xbf qu\xc3\xa9 ? \xe2\x82\xac 5");
    /* Chinese and Japanese: a character a token, with its marks; words among them stay whole. */
    expect_tokens("\xe4\xb8\xad\xe6\x96\x87GPT\xe3\x80\x82", false,
                  "\xe4\xb8\xad \xe6\x96\x87 gpt \xe3\x80\x82");
    expect_tokens("\xe3\x81\x8b\xe3\x82\x99\xe3\x83\xbc", false, "\xe3\x81\x8c \xe3\x83\xbc");
    expect_tokens(
        "\xe0\xb8\x81\xe0\xb8\xb5\xe0\xb9\x88\xe0\xb8\x82", false,
        "\xe0\xb8\x81\xe0\xb8\xb5\xe0\xb9\x88 \xe0\xb8\x82"); /* Thai, with vowel and tone */
    expect_tokens(
        "ok\xf0\x9f\x98\x80\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa", false,
        "ok \xf0\x9f\x98\x80 \xf0\x9f\x87\xa9\xf0\x9f\x87\xaa"); /* a flag is two code points */
    expect_tokens("\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", false,
                  "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82");
}

/* ---- Numbers -------------------------------------------------------------------------------- */

static void expect_ids(const qn_vocabulary *v, const char *text, int count, const int64_t *ids) {
    int64_t found[32];
    cr_assert_eq(qn_vocabulary_encode(v, text, found, 32), count, "%s", text);
    for (int i = 0; i < count; i++)
        cr_expect_eq(found[i], ids[i], "%s: %d is %lld", text, i, (long long)found[i]);
}

Test(vocabulary, common_words_first_then_first_seen) {
    const char text[] = "A,c b b\nB,\"a d, b c\"\n";
    qn_vocabulary *v = learn(text, NULL);
    static const char *const words[] = {"<pad>", "<unk>", "b", "c", "a", "d", ","};
    cr_assert_eq(qn_vocabulary_words(v), 5);
    cr_assert_eq(qn_vocabulary_size(v), 7);
    for (int i = 0; i < 7; i++)
        cr_assert_str_eq(qn_vocabulary_word(v, i), words[i]);
    cr_assert_null(qn_vocabulary_word(v, 7));
    cr_assert_null(qn_vocabulary_word(v, -1));
    expect_ids(v, "B, e", 3, (int64_t[]){2, 6, QN_TOKEN_UNKNOWN});
    expect_ids(v, " - ", 1, (int64_t[]){QN_TOKEN_UNKNOWN}); /* nothing is one unknown token */
    v = learn(text, &(qn_vocabulary_opts){.min_count = 2});
    cr_assert_eq(qn_vocabulary_words(v), 2);
    v = learn(text, &(qn_vocabulary_opts){.max_size = 3});
    cr_assert_str_eq(qn_vocabulary_word(v, 4), "a");
    cr_assert_null(qn_vocabulary_word(v, 5));
    qn_vocabulary_free(v);
    v = learn("A,\nB,\n", NULL); /* no words at all */
    cr_assert_eq(qn_vocabulary_size(v), 2);
    expect_ids(v, "x", 1, (int64_t[]){QN_TOKEN_UNKNOWN});
}

Test(vocabulary, encode_counts_beyond_its_limit) {
    qn_vocabulary *v = learn("A,a b c\n", NULL);
    int64_t ids[2] = {9, 9};
    cr_assert_eq(qn_vocabulary_encode(v, "a b c", ids, 1), 3);
    cr_assert_eq(ids[0], 2);
    cr_assert_eq(ids[1], 9);
    cr_assert_eq(qn_vocabulary_encode(v, "a b c", NULL, 0), 3);
    expect_ids(v, "caf\xe9 c", 2, (int64_t[]){1, 4}); /* not UTF-8: Latin-1 */
    cr_assert_eq(qn_vocabulary_encode(NULL, "a", ids, 1), -1);
    cr_assert_eq(qn_vocabulary_encode(v, NULL, ids, 1), -1);
}

Test(vocabulary, ngrams_follow_the_words) {
    const qn_vocabulary_opts opts = {.tokenizer = {.ngrams = 3, .buckets = 1000}};
    qn_vocabulary *v = learn("A,a b c\n", &opts);
    cr_assert_eq(qn_vocabulary_words(v), 3);
    cr_assert_eq(qn_vocabulary_size(v), 1005);
    cr_assert_null(qn_vocabulary_word(v, 5));
    int64_t ids[8], other[8];
    cr_assert_eq(qn_vocabulary_encode(v, "a b c", ids, 8), 6); /* 3 words, 2 pairs, 1 triple */
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(ids[i], 2 + i);
        cr_assert(ids[3 + i] >= 5 && ids[3 + i] < 1005);
    }
    cr_assert_neq(ids[3], ids[4]);
    cr_assert_eq(qn_vocabulary_encode(v, "x b c", other, 8), 6);
    cr_assert_eq(other[4], ids[4]);  /* "b c" again */
    cr_assert_neq(other[3], ids[3]); /* "x b", though x is unknown, is not "a b" */
    cr_assert_eq(qn_vocabulary_encode(v, "c b", other, 8), 3);
    cr_assert_neq(other[2], ids[4]); /* order counts */
    /* Model files hold these numbers' rows, so they may never change. */
    cr_assert_eq(ids[3], 835);
    cr_assert_eq(ids[4], 168);
    cr_assert_eq(ids[5], 659);
    v = learn("A,a\n", &(qn_vocabulary_opts){.tokenizer.ngrams = 2});
    cr_assert_eq(qn_vocabulary_size(v), 3 + 65536);
    expect_ids(v, "a", 1, (int64_t[]){2});
}

static void expect_no_vocabulary(const qn_vocabulary_opts *opts, const char *message) {
    cr_assert_null(qn_vocabulary_new(read_text("A,b\n"), opts));
    expect_message(QN_INVALID_ARGUMENT, message);
}

Test(vocabulary, options_out_of_range) {
    expect_no_vocabulary(&(qn_vocabulary_opts){.tokenizer.ngrams = 9},
                         "vocabulary: n-grams have 1 to 8 words");
    expect_no_vocabulary(&(qn_vocabulary_opts){.tokenizer.buckets = -1},
                         "vocabulary: the number of buckets is negative or above 2^30");
    expect_no_vocabulary(&(qn_vocabulary_opts){.min_count = -1},
                         "vocabulary: min_count or max_size is negative, or max_size above 2^29");
    cr_assert_null(qn_vocabulary_new(NULL, NULL));
    cr_assert_eq(qn_vocabulary_size(NULL), 0);
    qn_vocabulary_free(NULL);
}

/* ---- Packed --------------------------------------------------------------------------------- */

Test(vocabulary, packed_and_unpacked) {
    const qn_vocabulary_opts opts = {.tokenizer = {.keep_case = true, .ngrams = 2, .buckets = 9}};
    qn_vocabulary *v = learn("A,The cat\nB,na\xc3\xafve The\n", &opts);
    qn_tensor *packed = qn_vocabulary_pack(ctx, v);
    cr_assert_eq(qn_tensor_dtype(packed), QN_U8);
    qn_vocabulary *same = qn_vocabulary_unpack(packed);
    cr_assert_not_null(same, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_vocabulary_size(same), qn_vocabulary_size(v));
    for (int64_t i = 0; i < 2 + qn_vocabulary_words(v); i++)
        cr_assert_str_eq(qn_vocabulary_word(same, i), qn_vocabulary_word(v, i));
    int64_t ids[8];
    int64_t count = qn_vocabulary_encode(v, "The na\xc3\xafve the cat", ids, 8);
    expect_ids(same, "The na\xc3\xafve the cat", (int)count, ids);
    v = learn("A,\n", NULL);
    cr_assert_eq(qn_vocabulary_words(qn_vocabulary_unpack(qn_vocabulary_pack(ctx, v))), 0);
    cr_assert_null(qn_vocabulary_pack(ctx, NULL));
    cr_assert_null(qn_vocabulary_unpack(NULL));
}

/* The packed form of "b" and "bb", with one byte changed, or cut off at `size`. */
static void expect_damage(size_t size, size_t at, uint8_t value, const char *rest) {
    qn_tensor *packed = qn_vocabulary_pack(ctx, learn("A,b bb\n", NULL));
    uint8_t bytes[64];
    size_t whole = (size_t)qn_tensor_count(packed);
    cr_assert_eq(whole, 37);
    qn_tensor_read(packed, bytes, whole);
    bytes[whole] = 'x';
    bytes[at] = value;
    qn_tensor *damaged = qn_from_data(ctx, QN_U8, QN_SHAPE((int64_t)size), bytes);
    char message[256];
    snprintf(message, sizeof(message), "packed vocabulary: offset %s", rest);
    cr_assert_null(qn_vocabulary_unpack(damaged), "%s", message);
    expect_message(QN_BAD_FORMAT, message);
}

Test(vocabulary, damage_is_seen) {
    expect_damage(31, 40, 0, "31: ends inside the header");
    expect_damage(37, 0, 'q', "0: expected \"QNVOCAB\" and version 1");
    expect_damage(37, 7, 2, "0: expected \"QNVOCAB\" and version 1");
    expect_damage(37, 9, 1, "8: expected 0 or 1");
    expect_damage(37, 12, 0, "12: expected n-grams of 1 to 8 words");
    expect_damage(37, 12, 9, "12: expected n-grams of 1 to 8 words");
    expect_damage(37, 16, 1, "16: expected buckets, 2^30 at most, only where there are n-grams");
    expect_damage(37, 12, 2, "16: expected buckets, 2^30 at most, only where there are n-grams");
    expect_damage(37, 31, 0xff, "37: ends before its words do");
    expect_damage(36, 40, 0, "34: ends before its words do");
    expect_damage(38, 40, 0, "37: bytes after the last word");
    expect_damage(37, 24, 1, "34: bytes after the last word");
    expect_damage(37, 32, 0, "32: expected a word in UTF-8");
    expect_damage(37, 34, 0xff, "34: expected a word in UTF-8");
    expect_damage(36, 35, 0, "34: a word that was there before");
    cr_assert_null(qn_vocabulary_unpack(qn_zeros(ctx, QN_F32, QN_SHAPE(40))));
    expect_message(QN_BAD_FORMAT, "packed vocabulary: f32 of rank 1, expected u8 of rank 1");
}

/* ---- Vectors -------------------------------------------------------------------------------- */

/* Reads vectors for the words the (2), cat (3) and dog (4) into `table`, which was all 9. */
static qn_status read_vectors(const char *text, float table[5][2], int64_t *found) {
    const qn_vocabulary *v = learn("A,the the cat dog\n", NULL);
    qn_tensor *rows = qn_full(ctx, QN_F32, QN_SHAPE(5, 2), 9);
    qn_status status =
        qn_vectors_read(rows, v, scratch_write("vectors", text, strlen(text)), found);
    const qn_status first = qn_context_error(ctx, NULL);
    cr_assert_eq(first, status);
    memcpy(table, qn_tensor_data(rows), sizeof(float[5][2]));
    return status;
}

Test(vocabulary, vectors_of_glove) {
    float table[5][2];
    int64_t found;
    cr_assert_eq(
        read_vectors("cat 0.5 -1e1\nbird 1 2\nat a.b 1 2\nthe 3 4\r\ncat 7 7\n", table, &found),
        QN_OK, "%s", qn_context_message(ctx));
    cr_assert_eq(found, 2);
    const float expected[5][2] = {{9, 9}, {9, 9}, {3, 4}, {0.5, -10}, {9, 9}};
    cr_assert_eq(memcmp(table, expected, sizeof(expected)), 0);
}

Test(vocabulary, vectors_of_word2vec) {
    float table[5][2];
    int64_t found;
    cr_assert_eq(read_vectors("2 2\ndog 1 2 \nthe 3 4", table, &found), QN_OK, "%s",
                 qn_context_message(ctx));
    cr_assert_eq(found, 2);
    cr_assert_eq(table[4][1], 2);
    cr_assert_eq(table[2][0], 3);
}

static void expect_bad_vectors(const char *text, const char *rest) {
    float table[5][2];
    int64_t found = 77;
    cr_assert_neq(read_vectors(text, table, &found), QN_OK, "%s", text);
    expect_file_error(QN_BAD_FORMAT, "vectors", rest);
    cr_assert_eq(found, 77);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(table[i / 2][i % 2], 9); /* as it was */
    }
}

Test(vocabulary, vectors_that_are_wrong) {
    expect_bad_vectors("the 1 2\ncat 1\n",
                       ":2: fewer numbers, expected a word and 2, as the table is wide");
    expect_bad_vectors("the 1 2\ncat 1 2 3\n",
                       ":2: more numbers, expected a word and 2, as the table is wide");
    expect_bad_vectors("the 1 x2\n", ":1: \"x2\", expected a finite number");
    expect_bad_vectors("the 1 2\ncat 1 nan\n", ":2: \"nan\", expected a finite number");
    expect_bad_vectors("the 1 2\ncat 1e99 1\n", ":2: \"1e99\", expected a finite number");
    expect_bad_vectors("10 3\nthe 1 2 3\n",
                       ":1: vectors of 3 numbers, expected 2, as the table is wide");
    expect_bad_vectors("2 2\nthe 1 2\n", ": 1 words, expected 2");
    expect_bad_vectors("\n", ": 0 words, expected some");
}

Test(vocabulary, vectors_that_cannot_be_read) {
    qn_vocabulary *v = learn("A,the\n", NULL);
    qn_tensor *table = qn_zeros(ctx, QN_F32, QN_SHAPE(3, 2));
    cr_assert_eq(qn_vectors_read(table, v, scratch_path("none"), NULL), QN_IO_ERROR);
    expect_file_error(QN_IO_ERROR, "none", ": No such file or directory");
    cr_assert_eq(qn_vectors_read(table, v, scratch_folder, NULL), QN_IO_ERROR);
    qn_context_clear_error(ctx);
    cr_assert_eq(qn_vectors_read(table, v, scratch_write("zero", "the 1\0 2\n", 9), NULL),
                 QN_BAD_FORMAT);
    expect_file_error(QN_BAD_FORMAT, "zero", ":1: a zero byte, expected a word and its numbers");
    size_t size;
    char *packed = scratch_read(scratch_write_gzip("packed", "the 1 2\nx 1 2\n", 14), &size);
    cr_assert_eq(qn_vectors_read(table, v, scratch_path("packed"), NULL), QN_OK);
    cr_assert_eq(((float *)qn_tensor_data(table))[5], 2);
    scratch_write("packed", packed, size - 9);
    free(packed);
    cr_assert_eq(qn_vectors_read(table, v, scratch_path("packed"), NULL), QN_BAD_FORMAT);
    qn_context_clear_error(ctx);
    cr_assert_eq(qn_vectors_read(qn_zeros(ctx, QN_F32, QN_SHAPE(4, 2)), v, "x", NULL),
                 QN_SHAPE_MISMATCH);
    expect_message(QN_SHAPE_MISMATCH, "vectors: a table of 4 rows and rank 2, expected [3, width]");
    cr_assert_eq(qn_vectors_read(qn_zeros(ctx, QN_F64, QN_SHAPE(3, 2)), v, "x", NULL),
                 QN_DTYPE_MISMATCH);
    qn_context_clear_error(ctx);
    cr_assert_eq(qn_vectors_read(NULL, v, "x", NULL), QN_INVALID_ARGUMENT);
}

/* ---- Datasets ------------------------------------------------------------------------------- */

Test(vocabulary, dataset_of_one_class_a_text) {
    qn_corpus *corpus = read_text("B,a b c\nA,a\nB,-\n");
    qn_vocabulary *v = qn_vocabulary_new(corpus, NULL);
    qn_dataset *dataset = qn_text_dataset(corpus, v, 0);
    qn_vocabulary_free(v);
    const qn_dataset_desc *info = qn_dataset_info(dataset);
    cr_assert_eq(info->count, 3);
    cr_assert_eq(info->x_shape.dim[0], 3);
    cr_assert_eq(info->y_shape.rank, 0);
    cr_assert_eq(info->classes, 2);
    cr_assert_str_eq(info->class_names[1], "B");
    int64_t x[3], y;
    const int64_t expected[3][3] = {{2, 3, 4}, {2, 0, 0}, {1, 0, 0}};
    for (int64_t i = 0; i < 3; i++) {
        cr_assert_eq(qn_dataset_get(dataset, i, x, &y), QN_OK);
        cr_assert_eq(memcmp(x, expected[i], sizeof(x)), 0);
        cr_assert_eq(y, i != 1);
        cr_assert_eq(info->length(info->data, i), i == 0 ? 3 : 1);
    }
    char text[4];
    info->describe(info->data, 0, text, sizeof(text));
    cr_assert_str_eq(text, "a b");
}

Test(vocabulary, dataset_of_several_classes_a_text) {
    qn_corpus *corpus = read_text("__label__c __label__a a b c\n__label__b \xc3\xa9\n");
    qn_dataset *dataset = qn_text_dataset(corpus, qn_vocabulary_new(corpus, NULL), 2);
    const qn_dataset_desc *info = qn_dataset_info(dataset);
    cr_assert_eq(info->x_shape.dim[0], 2);
    cr_assert_eq(info->y_dtype, QN_F32);
    cr_assert_eq(info->y_shape.dim[0], 3);
    int64_t x[2];
    float y[3];
    cr_assert_eq(qn_dataset_get(dataset, 0, x, y), QN_OK);
    cr_assert_eq(memcmp(x, (int64_t[]){2, 3}, sizeof(x)), 0); /* the end is lost */
    cr_assert_eq(memcmp(y, (float[]){1, 0, 1}, sizeof(y)), 0);
    cr_assert_eq(info->length(info->data, 0), 2);
    char text[2] = "?";
    info->describe(info->data, 1, text, sizeof(text));
    cr_assert_str_eq(text, ""); /* no half characters */
    info->describe(info->data, 1, NULL, 0);
    cr_assert_null(qn_text_dataset(corpus, NULL, 0));
    cr_assert_null(qn_text_dataset(corpus, qn_vocabulary_new(corpus, NULL), -1));
    qn_context_clear_error(ctx);
}

Test(vocabulary, batches_are_as_long_as_their_longest_text) {
    qn_corpus *corpus = read_text("A,a b c d\nB,a\nA,a b\nB,a\n");
    qn_dataset *dataset = qn_text_dataset(corpus, qn_vocabulary_new(corpus, NULL), 16);
    cr_assert_eq(qn_dataset_info(dataset)->x_shape.dim[0], 16); /* room for longer ones */
    qn_loader *loader = qn_loader_new(dataset, &(qn_loader_opts){.batch_size = 2});
    qn_batch batch;
    cr_assert(qn_loader_next(loader, &batch));
    cr_assert_eq(qn_tensor_dim(batch.x, 1), 4);
    cr_assert(qn_loader_next(loader, &batch));
    cr_assert_eq(qn_tensor_dim(batch.x, 1), 2);
}

/* ---- Real files ----------------------------------------------------------------------------- */

/* Kim's cleaning of ASCII, with which the reference results were made,
 * gives 8464 and 18765 words. */
Test(vocabulary, words_of_real_texts) {
    qn_corpus *corpus = qn_corpus_open(ctx, reference_data("text/TREC.train"), NULL);
    qn_vocabulary *v = qn_vocabulary_new(corpus, NULL);
    cr_assert_eq(qn_vocabulary_words(v), 8465);
    cr_assert_str_eq(qn_vocabulary_word(v, 2), "?");
    corpus = qn_corpus_open(ctx, reference_data("text/rt-polarity.neg"), NULL);
    v = qn_vocabulary_new(corpus, NULL);
    cr_assert_eq(qn_vocabulary_words(v), 18787);
    cr_assert_str_eq(qn_vocabulary_word(v, 2), "the");
}
