/* test_corpus.c: labelled texts in files, their classes, and the parts of a corpus. */
#include "reference_data.h"
#include "scratch.h"

TestSuite(corpus, .init = scratch_open, .fini = scratch_close);

static qn_corpus *open_text(const char *text, const qn_corpus_opts *opts) {
    return qn_corpus_open(ctx, scratch_write("texts", text, strlen(text)), opts);
}

/* A corpus that must open. */
static qn_corpus *read_text(const char *text, const qn_corpus_opts *opts) {
    qn_corpus *corpus = open_text(text, opts);
    cr_assert_not_null(corpus, "%s", qn_context_message(ctx));
    return corpus;
}

static void expect_bad(const char *text, const qn_corpus_opts *opts, const char *rest) {
    cr_assert_null(open_text(text, opts), "%s", text);
    expect_file_error(QN_BAD_FORMAT, "texts", rest);
}

/* Text `index` is `text`, with classes `names`, separated by "|". */
static void expect_text(const qn_corpus *corpus, int64_t index, const char *names,
                        const char *text) {
    char found[256] = "";
    const int64_t *labels;
    int count = qn_corpus_labels(corpus, index, &labels);
    for (int i = 0; i < count; i++) {
        size_t used = strlen(found);
        snprintf(found + used, sizeof(found) - used, "%s%s", i ? "|" : "",
                 qn_corpus_class(corpus, labels[i]));
    }
    cr_assert_str_eq(found, names);
    cr_assert_str_eq(qn_corpus_text(corpus, index), text);
}

/* What was guessed of the file has these words. */
static void expect_note(const qn_corpus *corpus, const char *words) {
    cr_expect(strstr(qn_corpus_notes(corpus), words), "\"%s\" is not in \"%s\"", words,
              qn_corpus_notes(corpus));
}

/* ---- Formats -------------------------------------------------------------------------------- */

Test(corpus, csv_as_rfc_4180_has_it) {
    qn_corpus *corpus = read_text("\xef\xbb\xbfSPAM,\"Buy, \"\"now\"\"!\"\r\n\r\n"
                                  "HAM,see you\r\n\"HAM\",\"two\nlines\"\nSPAM,",
                                  NULL);
    cr_assert_eq(qn_corpus_count(corpus), 4);
    cr_assert_eq(qn_corpus_classes(corpus), 2);
    cr_assert_str_eq(qn_corpus_class(corpus, 0), "HAM"); /* sorted by name */
    expect_text(corpus, 0, "SPAM", "Buy, \"now\"!");
    expect_text(corpus, 1, "HAM", "see you");
    expect_text(corpus, 2, "HAM", "two\nlines");
    expect_text(corpus, 3, "SPAM", "");
    cr_assert(!qn_corpus_multi_label(corpus));
    cr_assert_null(qn_corpus_text(corpus, 4));
    cr_assert_null(qn_corpus_text(corpus, -1));
    cr_assert_null(qn_corpus_class(corpus, 2));
    const int64_t *labels;
    cr_assert_eq(qn_corpus_labels(corpus, 4, &labels), 0);
    cr_assert_null(labels);
}

Test(corpus, csv_of_several_labels) {
    const qn_corpus_opts opts = {.delimiter = "|"};
    qn_corpus *corpus = read_text("b | a|b,one\nc,two\n", &opts);
    cr_assert(qn_corpus_multi_label(corpus));
    cr_assert_eq(qn_corpus_classes(corpus), 3);
    expect_text(corpus, 0, "a|b", "one");
    expect_text(corpus, 1, "c", "two");
    corpus = read_text("a::b,x\n", &(qn_corpus_opts){.delimiter = "::"});
    expect_text(corpus, 0, "a|b", "x");
    expect_text(read_text("a|b,x\n", NULL), 0, "a|b", "x"); /* one class of this name */
    expect_bad("a|,one\n", &opts, ":1: an empty label, expected the name of a class");
}

Test(corpus, csv_errors_name_the_line) {
    const qn_corpus_opts csv = {.format = QN_TEXT_CSV};
    expect_bad("A,\"x\ny\"\nB\n", &csv,
               ":3: 1 column, expected two: LABEL,text (text with commas stands in double quotes), "
               "or more "
               "with a header line that names them");
    expect_bad(
        "A,b\n\nB,c,d\n", NULL,
        ":3: 3 columns, expected two: LABEL,text (text with commas stands in double quotes), or "
        "more with a header line that names them");
    expect_bad("A,b\n ,c\n", NULL, ":2: an empty label, expected the name of a class");
    expect_bad("label,text,Text\na,b,c\n", NULL,
               ":1: columns 2 and 3 are both named 'Text': name one by its number");
    expect_bad("A,b\n\"B\nC\",c\n", NULL,
               ":2: a label with a control character, expected the name of a class");
    cr_assert_null(open_text("A,b\nB,\"c\nz", NULL));
    cr_assert_eq(qn_context_error(ctx, NULL), QN_BAD_FORMAT);
    cr_assert(strstr(qn_context_message(ctx), "texts:2: "), "%s", qn_context_message(ctx));
    qn_context_clear_error(ctx);
}

Test(corpus, fasttext_lines) {
    qn_corpus *corpus = read_text("__label__b  __label__a   Two, labels \r\n\n__label__c", NULL);
    cr_assert_eq(qn_corpus_count(corpus), 2);
    cr_assert(qn_corpus_multi_label(corpus));
    expect_text(corpus, 0, "a|b", "Two, labels");
    expect_text(corpus, 1, "c", "");
    corpus = read_text("__label__a x\n__label__b __label__b y\n", NULL);
    cr_assert(!qn_corpus_multi_label(corpus)); /* the same label twice is one */
    expect_text(corpus, 1, "b", "y");
    cr_assert(
        qn_corpus_multi_label(read_text("__label__a x\n", &(qn_corpus_opts){.delimiter = " "})));
    expect_bad("__label__a x\n\nb y\n", NULL,
               ":3: no label, expected the line to start with __label__NAME");
    expect_bad("__label__a x\n__label__ y\n", NULL,
               ":2: an empty label, expected the name of a class");
}

Test(corpus, trec_keeps_the_coarse_label) {
    qn_corpus *corpus = read_text("DESC:manner How, then ?\nNUM:date When ?\nNUM:count\n", NULL);
    cr_assert_eq(qn_corpus_classes(corpus), 2);
    expect_text(corpus, 0, "DESC", "How, then ?");
    expect_text(corpus, 1, "NUM", "When ?");
    expect_text(corpus, 2, "NUM", "");
    expect_bad("DESC:manner How ?\nWhen ?\n", NULL,
               ":2: no label, expected the line to start with LABEL:fine");
    cr_assert_null(open_text("A:b c\n", &(qn_corpus_opts){.delimiter = "|"}));
    expect_file_error(QN_INVALID_ARGUMENT, "texts",
                      ": a delimiter, but texts in TREC's form have one label");
}

Test(corpus, polarity_pair) {
    scratch_write_gzip("x.pos", "good\nfine\x85really\n", 17);
    const char *path = scratch_write("x.neg", "bad\n", 4);
    const char *names[] = {path, scratch_path("x.pos"), scratch_folder};
    for (int i = 0; i < 3; i++) {
        qn_corpus *corpus = qn_corpus_open(ctx, names[i], NULL);
        cr_assert_not_null(corpus, "%s", qn_context_message(ctx));
        cr_assert_eq(qn_corpus_count(corpus), 3);
        expect_text(corpus, 0, "neg", "bad");
        expect_text(corpus, 1, "pos", "good");
        expect_text(corpus, 2, "pos", "fine\xe2\x80\xa6really"); /* Windows-1252 */
    }
    scratch_write_gzip("z.pos.gz", "good\n", 5);
    scratch_write_gzip("z.neg.gz", "bad\n", 4);
    cr_assert_eq(qn_corpus_count(qn_corpus_open(ctx, scratch_path("z.pos.gz"), NULL)), 2);
    scratch_write("z.pos", "good\nbetter\n", 12); /* what is not packed comes first */
    cr_assert_eq(qn_corpus_count(qn_corpus_open(ctx, scratch_path("z.neg"), NULL)), 3);
    scratch_write("y.pos", "good\n", 5);
    cr_assert_null(qn_corpus_open(ctx, scratch_folder, NULL));
    cr_assert(strstr(qn_context_message(ctx), "several pairs"), "%s", qn_context_message(ctx));
    qn_context_clear_error(ctx);
    cr_assert_null(qn_corpus_open(ctx, scratch_path("y.pos"), NULL));
    expect_file_error(QN_IO_ERROR, "y.neg", ": No such file or directory");
    cr_assert_null(open_text("x", &(qn_corpus_opts){.format = QN_TEXT_POLARITY}));
    expect_file_error(QN_INVALID_ARGUMENT, "texts",
                      ": expected a folder, or a name that ends with .pos or .neg");
    scratch_files(true);
    cr_assert_null(qn_corpus_open(ctx, scratch_folder, NULL));
    cr_assert(strstr(qn_context_message(ctx), "no files X.pos and X.neg"));
    qn_context_clear_error(ctx);
}

Test(corpus, gzip) {
    qn_corpus *corpus = qn_corpus_open(ctx, scratch_write_gzip("texts.gz", "A,x\nB,y\n", 8), NULL);
    cr_assert_eq(qn_corpus_count(corpus), 2);
    expect_text(corpus, 1, "B", "y");
}

/* ---- Which format, which bytes -------------------------------------------------------------- */

static void expect_unclear(const char *text, const char *rest) {
    cr_assert_null(open_text(text, NULL), "%s", text);
    expect_file_error(QN_INVALID_ARGUMENT, "texts", rest);
}

Test(corpus, format_is_told_or_asked_for) {
    expect_text(read_text("ABC:def some, text\nXE:f no comma\n", NULL), 0, "ABC", "some, text");
    expect_text(read_text("ABC:def some,text\nXE,f\n", NULL), 0, "ABC:def some", "text");
    expect_text(read_text("\"A B\",c\n", NULL), 0, "A B", "c");
    expect_text(read_text("a:b c\n", &(qn_corpus_opts){.format = QN_TEXT_TREC}), 0, "a", "c");
    expect_unclear("ABC:def some,text\nX:e f,g\n",
                   ":1: cannot tell the format (CSV or TREC), please name it");
    expect_unclear("\n__label__a,text\n",
                   ":2: cannot tell the format (CSV or fastText), please name it");
    expect_unclear("just words\n",
                   ":1: cannot tell the format (neither CSV, fastText nor TREC), please name it");
}

Test(corpus, encodings) {
    expect_text(read_text("A,caf\xc3\xa9\n", NULL), 0, "A", "caf\xc3\xa9");
    /* A line that is not UTF-8 is Windows-1252; the others stay what they are. */
    qn_corpus *corpus = read_text("A,caf\xc3\xa9\nB,caf\xe9 \x80 it\x92s c\x9cur\n", NULL);
    expect_text(corpus, 0, "A", "caf\xc3\xa9");
    expect_text(corpus, 1, "B", "caf\xc3\xa9 \xe2\x82\xac it\xe2\x80\x99s c\xc5\x93ur");
    expect_note(corpus, ":2: not UTF-8, taken as Windows-1252\n");
    static const char wide[] = "\xff\xfe"
                               "A\0,\0x\0\n\0",
                      bare[] = "A\0,\0x\0y\0\n\0";
    cr_assert_null(qn_corpus_open(ctx, scratch_write("texts", wide, sizeof(wide) - 1), NULL));
    expect_file_error(QN_BAD_FORMAT, "texts",
                      ": text in UTF-16, expected UTF-8: iconv -f UTF-16 -t UTF-8 converts it");
    cr_assert_null(qn_corpus_open(ctx, scratch_write("texts", bare, sizeof(bare) - 1), NULL));
    expect_file_error(QN_BAD_FORMAT, "texts",
                      ": text in UTF-16, expected UTF-8: iconv -f UTF-16 -t UTF-8 converts it");
}

/* ---- Columns ---------------------------------------------------------------------------- */

Test(corpus, a_header_line_names_the_columns) {
    static const char *const headers[] = {"label,text", "Sentiment,Review", "category,title"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        char text[100];
        snprintf(text, sizeof(text), "%s\nA,x y\nB,z\n", headers[i]);
        qn_corpus *corpus = read_text(text, NULL);
        cr_expect_eq(qn_corpus_count(corpus), 2);
        expect_text(corpus, 0, "A", "x y");
        expect_note(corpus, ":1: a header line: labels from column");
    }
    qn_corpus *corpus = read_text("review,rating,sentiment\nx y,5,A\nz,1,B\n", NULL);
    expect_text(corpus, 1, "B", "z");
    corpus = read_text("id\ttext\tlabel\n1\ta, b\tA\n2\tc\tB\n", NULL);
    expect_text(corpus, 0, "A", "a, b");
    expect_note(corpus, "columns are separated by tabs");
}

Test(corpus, columns_are_chosen_by_name_or_number) {
    qn_corpus *corpus =
        read_text("stars,words\nA,x\nB,y\n",
                  &(qn_corpus_opts){.label_column = "words", .text_column = "stars"});
    expect_text(corpus, 0, "x", "A");
    corpus =
        read_text("x,A,1\ny,B,2\n", &(qn_corpus_opts){.label_column = "2", .text_column = "1"});
    expect_text(corpus, 1, "B", "y");
    expect_text(read_text("x,A\n", &(qn_corpus_opts){.label_column = "2"}), 0, "A", "x");
    cr_assert_null(open_text("a,b\nA,x\n", &(qn_corpus_opts){.label_column = "tone"}));
    expect_file_error(QN_INVALID_ARGUMENT, "texts", ":1: no column 'tone' among these 2: a, b");
    cr_assert_null(open_text("A,x\n", &(qn_corpus_opts){.label_column = "3"}));
    expect_file_error(QN_INVALID_ARGUMENT, "texts", ":1: no column '3' among these 2: A, x");
}

Test(corpus, swapped_columns_are_refused_and_classes_of_one_text_told) {
    char swapped[2000] = "", single[2000] = "";
    for (int i = 0; i < 40; i++) {
        char line[40];
        snprintf(line, sizeof(line), "text %d,%s\n", i, i % 2 ? "A" : "B");
        strcat(swapped, line);
        snprintf(line, sizeof(line), "%d,text %d\n", i, i);
        strcat(single, line);
    }
    cr_assert_null(open_text(swapped, NULL));
    cr_expect(strstr(qn_context_message(ctx), "are the columns text,LABEL?"), "%s",
              qn_context_message(ctx));
    qn_context_clear_error(ctx);
    expect_text(read_text(swapped, &(qn_corpus_opts){.label_column = "2"}), 0, "B", "text 0");
    expect_note(read_text(single, NULL), "40 classes for 40 texts: most have a single text");
}

Test(corpus, nothing_there) {
    expect_bad("", NULL, ": there are no texts");
    expect_bad("\xef\xbb\xbf \r\n\n", NULL, ": there are no texts");
    expect_bad("\n", &(qn_corpus_opts){.format = QN_TEXT_CSV}, ": there are no texts");
    expect_bad("\n", &(qn_corpus_opts){.format = QN_TEXT_FASTTEXT}, ": there are no texts");
    cr_assert_null(qn_corpus_open(ctx, scratch_write("texts", "A,b\nA,\0c\n", 9), NULL));
    expect_file_error(QN_BAD_FORMAT, "texts", ":2: a zero byte, expected text in UTF-8");
    cr_assert_null(qn_corpus_open(ctx, scratch_path("none"), NULL));
    expect_file_error(QN_IO_ERROR, "none", ": No such file or directory");
    cr_assert_null(qn_corpus_open(ctx, NULL, NULL));
    expect_message(QN_INVALID_ARGUMENT, "the name of the file of texts is NULL");
    cr_assert_null(open_text("A,b\n", &(qn_corpus_opts){.delimiter = ""}));
    expect_message(QN_INVALID_ARGUMENT, "the delimiter between labels is empty");
    cr_assert_null(open_text("A,b\n", &(qn_corpus_opts){.format = (qn_text_format)9}));
    expect_message(QN_INVALID_ARGUMENT, "no such format of texts");
    cr_assert_null(qn_corpus_open(NULL, "x", NULL));
    cr_assert_eq(qn_corpus_count(NULL), 0);
    qn_corpus_free(NULL);
}

Test(corpus, very_long_lines) {
    const size_t size = 10 << 20;
    char *line = malloc(size);
    memset(line, 'x', size);
    memcpy(line, "A,", 2);
    qn_corpus *corpus = qn_corpus_open(ctx, scratch_write("texts", line, size), NULL);
    cr_assert_eq(strlen(qn_corpus_text(corpus, 0)), size - 2);
    free(line);
}

/* ---- Classes of another corpus -------------------------------------------------------------- */

Test(corpus, classes_of_the_training_texts) {
    char rest[512];
    scratch_write("train", "B,x\nC,y\nA,z\n", 12);
    qn_corpus *train = qn_corpus_open(ctx, scratch_path("train"), NULL);
    const qn_corpus_opts opts = {.classes = train};
    qn_corpus *test = read_text("C,q\n", &opts);
    cr_assert_eq(qn_corpus_classes(test), 3);
    expect_text(test, 0, "C", "q");
    snprintf(rest, sizeof(rest), ":2: label \"X\", expected one of the 3 classes of %s",
             scratch_path("train"));
    expect_bad("C,q\nX,q\n", &opts, rest);
    snprintf(rest, sizeof(rest), ":1: 2 labels, expected one as in %s", scratch_path("train"));
    expect_bad("__label__A __label__B x\n", &opts, rest);
    scratch_write("train", "__label__a __label__b x\n", 24);
    train = qn_corpus_open(ctx, scratch_path("train"), NULL);
    cr_assert(qn_corpus_multi_label(read_text("a,x\n", &(qn_corpus_opts){.classes = train})));
}

/* ---- Parts ---------------------------------------------------------------------------------- */

/* `count` texts "0", "1", ...; every fourth is of class B. */
static qn_corpus *numbered(int count) {
    static char text[1 << 16];
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%c,%d\n", "BAAA"[i % 4], i);
    return read_text(text, NULL);
}

static int count_of_class(const qn_corpus *corpus, int64_t class) {
    int found = 0;
    const int64_t *labels;
    for (int64_t i = 0; i < qn_corpus_count(corpus); i++) {
        qn_corpus_labels(corpus, i, &labels);
        found += labels[0] == class;
    }
    return found;
}

/* Adds one to the counts of the numbers that are a part's texts, which are in rising order. */
static void mark(const qn_corpus *part, int *seen) {
    int last = -1;
    for (int64_t i = 0; i < qn_corpus_count(part); i++) {
        int number = atoi(qn_corpus_text(part, i));
        cr_assert_gt(number, last);
        seen[number]++;
        last = number;
    }
}

Test(corpus, split_keeps_the_proportions) {
    qn_corpus *corpus = numbered(100), *rest, *other;
    qn_corpus *part = qn_corpus_split(corpus, 0.8, 7, &rest);
    cr_assert_eq(qn_corpus_count(part), 80);
    cr_assert_eq(qn_corpus_count(rest), 20);
    cr_assert_eq(count_of_class(part, 1), 20);
    cr_assert_eq(count_of_class(rest, 1), 5);
    int seen[100] = {0};
    mark(part, seen);
    mark(rest, seen);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(seen[i], 1);
    qn_corpus *again = qn_corpus_split(corpus, 0.8, 7, NULL);
    cr_assert_str_eq(qn_corpus_text(again, 50), qn_corpus_text(part, 50));
    int differ = 0;
    qn_corpus_split(corpus, 0.8, 8, &other);
    for (int i = 0; i < 20; i++)
        differ += strcmp(qn_corpus_text(other, i), qn_corpus_text(rest, i)) != 0;
    cr_assert_gt(differ, 5);                               /* another seed, other texts */
    qn_corpus *half = qn_corpus_split(rest, 0.5, 1, NULL); /* a part of a part */
    cr_assert_eq(qn_corpus_count(half), 10);
    int few[100] = {0};
    mark(half, few);
    mark(rest, few);
    for (int64_t i = 0; i < 10; i++)
        cr_assert_eq(few[atoi(qn_corpus_text(half, i))], 2);
}

Test(corpus, folds_hold_each_text_out_once) {
    qn_corpus *corpus = numbered(43), *held_out;
    int seen[43] = {0};
    for (int fold = 0; fold < 5; fold++) {
        qn_corpus *train = qn_corpus_fold(corpus, 5, fold, 3, &held_out);
        cr_assert_eq(qn_corpus_count(train) + qn_corpus_count(held_out), 43);
        cr_assert_geq(qn_corpus_count(held_out), 8);
        cr_assert_geq(count_of_class(held_out, 1), 2);
        cr_assert_leq(count_of_class(held_out, 1), 3);
        mark(held_out, seen);
        qn_corpus_free(held_out);
        qn_corpus_free(train);
    }
    for (int i = 0; i < 43; i++)
        cr_assert_eq(seen[i], 1);
}

Test(corpus, parts_that_cannot_be) {
    qn_corpus *corpus = numbered(3), *rest = corpus;
    cr_assert_null(qn_corpus_split(corpus, 0, 1, &rest));
    cr_assert_null(rest);
    expect_file_error(QN_INVALID_ARGUMENT, "texts",
                      ": fraction 0, expected one above 0 and below 1");
    cr_assert_null(qn_corpus_split(corpus, 0.9, 1, &rest));
    expect_file_error(QN_INVALID_ARGUMENT, "texts",
                      ": a part would be without texts, there are 3 to divide");
    cr_assert_null(qn_corpus_fold(corpus, 4, 0, 1, &rest));
    expect_file_error(QN_INVALID_ARGUMENT, "texts",
                      ": fold 0 of 4, expected 2 to 3 folds, numbered from 0");
    cr_assert_null(qn_corpus_fold(corpus, 2, 2, 1, NULL));
    qn_context_clear_error(ctx);
    cr_assert_null(qn_corpus_split(NULL, 0.5, 1, NULL));
    cr_assert_null(qn_corpus_fold(NULL, 2, 0, 1, NULL));
}

/* ---- Real files ----------------------------------------------------------------------------- */

Test(corpus, spam_and_ham) {
    const char *folder = QUERN_SOURCE_DIR "/examples/text_classification/data";
    char path[1024];
    snprintf(path, sizeof(path), "%s/spam.train.csv.gz", folder);
    qn_corpus *train = qn_corpus_open(ctx, path, NULL);
    snprintf(path, sizeof(path), "%s/spam.test.csv.gz", folder);
    qn_corpus *test = qn_corpus_open(ctx, path, &(qn_corpus_opts){.classes = train});
    cr_assert_not_null(test, "%s", qn_context_message(ctx));
    cr_assert_str_eq(qn_corpus_class(train, 0), "HAM");
    cr_assert_eq(count_of_class(train, 0), 3418);
    cr_assert_eq(count_of_class(train, 1), 1441);
    cr_assert_eq(count_of_class(test, 0), 676);
    cr_assert_eq(count_of_class(test, 1), 295);
}

static void expect_trec(const char *name, int64_t count, const int *of_class) {
    static const char *const names[] = {"ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"};
    qn_corpus *corpus = qn_corpus_open(ctx, reference_data(name), NULL);
    cr_assert_not_null(corpus, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_corpus_count(corpus), count);
    cr_assert_eq(qn_corpus_classes(corpus), 6);
    for (int i = 0; i < 6; i++) {
        cr_assert_str_eq(qn_corpus_class(corpus, i), names[i]);
        cr_expect_eq(count_of_class(corpus, i), of_class[i], "%s: %s", name, names[i]);
    }
}

Test(corpus, trec_of_li_and_roth) {
    expect_trec("text/TREC.train", 5452, (int[]){86, 1162, 1250, 1223, 835, 896});
    expect_trec("text/TREC.test", 500, (int[]){9, 138, 94, 65, 81, 113});
}

Test(corpus, polarity_of_pang_and_lee) {
    qn_corpus *corpus = qn_corpus_open(ctx, reference_data("text/rt-polarity.pos"), NULL);
    cr_assert_not_null(corpus, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_corpus_count(corpus), 10662);
    cr_assert_eq(count_of_class(corpus, 0), 5331);
    cr_assert_str_eq(qn_corpus_class(corpus, 1), "pos");
}

/* ---- Lines ------------------------------------------------------------------------------ */

Test(corpus, lines_of_a_file_plain_and_packed) {
    static const char text[] = "\xef\xbb\xbf"
                               "first\r\n\ncaf\xe9\ncaf\xc3\xa9";
    static const char *const lines[] = {"first", "", "caf\xc3\xa9", "caf\xc3\xa9"};
    const char *const paths[] = {scratch_write("lines", text, sizeof(text) - 1),
                                 scratch_write_gzip("lines.gz", text, sizeof(text) - 1)};
    for (int i = 0; i < 2; i++) {
        qn_text_lines *file = qn_text_lines_open(ctx, paths[i]);
        cr_assert_not_null(file, "%s", qn_context_message(ctx));
        for (int64_t line = 0; line < 4; line++) {
            cr_assert_str_eq(qn_text_lines_next(file), lines[line]);
            cr_expect_eq(qn_text_lines_number(file), line + 1);
        }
        cr_expect_null(qn_text_lines_next(file));
        cr_expect_eq(qn_context_error(ctx, NULL), QN_OK);
        qn_text_lines_free(file);
    }
}

Test(corpus, lines_that_cannot_be_read) {
    cr_expect_null(qn_text_lines_open(ctx, scratch_path("none")));
    expect_file_error(QN_IO_ERROR, "none", ": No such file or directory");
    qn_text_lines *file = qn_text_lines_open(ctx, scratch_write("zero", "a\nb\0\n", 5));
    cr_expect_str_eq(qn_text_lines_next(file), "a");
    cr_expect_null(qn_text_lines_next(file));
    expect_file_error(QN_BAD_FORMAT, "zero", ":2: a zero byte, expected text in UTF-8");
    size_t size;
    char *packed = scratch_read(scratch_write_gzip("whole", "text text text\n", 15), &size);
    file = qn_text_lines_open(ctx, scratch_write("cut", packed, size - 6));
    while (qn_text_lines_next(file))
        ;
    cr_expect_eq(qn_context_error(ctx, NULL), QN_BAD_FORMAT, "%s", qn_context_message(ctx));
    qn_context_clear_error(ctx);
    cr_expect_null(qn_text_lines_next(qn_text_lines_open(ctx, scratch_folder)));
    cr_expect_eq(qn_context_error(ctx, NULL), QN_IO_ERROR, "%s", qn_context_message(ctx));
    qn_context_clear_error(ctx);
    free(packed);
}
