/* quern/text.h: labelled texts, from files to datasets.
 *
 * The way of a text:
 *   corpus       texts and their classes, read from a file, split into parts
 *   vocabulary   what the texts' tokens are numbered by
 *   vectors      trained embeddings for a vocabulary's words
 *   dataset      numbers in place of texts, for the loader
 *
 *     qn_corpus *mail = qn_corpus_open(ctx, "messages.csv", NULL);
 *     qn_corpus *held_out, *train = qn_corpus_split(mail, 0.8, 1, &held_out);
 *     qn_vocabulary *words = qn_vocabulary_new(train, NULL);
 *     qn_dataset *samples = qn_text_dataset(train, words, 0);
 *     qn_dataset *others = qn_text_dataset(held_out, words, 0);
 */
#ifndef QUERN_TEXT_H
#define QUERN_TEXT_H

#include "quern/data.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Labelled texts in memory, in UTF-8. */
typedef struct qn_corpus qn_corpus;
/** Tokens and their numbers. */
typedef struct qn_vocabulary qn_vocabulary;

/* -------- Corpora ---------------------------------------------------------------------------- */

/** How texts and labels lie in a file. Empty lines are skipped in all of them. */
typedef enum qn_text_format {
    QN_TEXT_AUTO, /**< told from name and content; a file that could be two things is an error */
    QN_TEXT_CSV,  /**< records "LABEL,text" (or with tabs or semicolons), quoted as RFC 4180 says */
    QN_TEXT_FASTTEXT, /**< lines "__label__a __label__b text" */
    QN_TEXT_TREC,     /**< lines "LABEL:fine text" (Li and Roth 2002); LABEL is the class */
    QN_TEXT_POLARITY  /**< a pair of files X.pos and X.neg with a text a line (Pang and Lee 2005) */
} qn_text_format;

typedef struct qn_corpus_opts {
    qn_text_format format;
    const char
        *delimiter; /**< NULL: one label a text. Else several, which in CSV are separated by this
                                ("|"), so "A|B,text". fastText's lines may have several anyway. */
    const qn_corpus *classes; /**< NULL, or: use the classes of this corpus (of the training texts,
                                 say); a label that is not among them is then an error */
    /** CSV: the columns of labels and of texts, by the header line's name or by number
     * from 1. NULL: told from a header line that names both as the field does ("label",
     * "class", "sentiment" ...; "text", "review", "sentence" ...); without one the
     * columns are LABEL,text. */
    const char *label_column, *text_column;
} qn_corpus_opts;

/** Reads a file of labelled texts, plain or gzip.
 *
 * The text is UTF-8, with or without a byte order mark; a line that is not valid UTF-8 is taken as
 * Windows-1252 (ISO 8859-1's characters are a part of it). What was guessed of the file is told by
 * qn_corpus_notes(). For QN_TEXT_POLARITY `path` is either file of the pair, or a folder that
 * holds one pair; the classes are "neg" and "pos". Texts may be empty, labels not; labels that a
 * text has twice count once. A corpus may have a single class.
 *
 * Errors: IO_ERROR; BAD_FORMAT with "path:line:" and what was expected: another number of columns,
 * no label, an unknown label, more than one label where the classes' corpus has one, a misplaced
 * quote, a zero byte, UTF-16, no texts at all, columns that are surely swapped; INVALID_ARGUMENT: a
 * format that cannot be told, a delimiter in a format that has one label a text. */
QN_API qn_corpus *qn_corpus_open(qn_context *ctx, const char *path, const qn_corpus_opts *opts);
QN_API void qn_corpus_free(qn_corpus *corpus);
/** What was guessed of the file, for whoever wants to show it: a header line, a separator, an
 * encoding, classes with a single text. A line each, ended by a newline; "" where nothing was. */
QN_API const char *qn_corpus_notes(const qn_corpus *corpus);
/** Number of texts. */
QN_API int64_t qn_corpus_count(const qn_corpus *corpus);
/** Number of classes. */
QN_API int64_t qn_corpus_classes(const qn_corpus *corpus);
/** Name of a class; NULL if there is none of this number. Classes are sorted by name (as bytes), so
 * that their numbers do not depend on the order of texts. */
QN_API const char *qn_corpus_class(const qn_corpus *corpus, int64_t index);
/** Whether a text may have several labels: a delimiter was given, or some text does. */
QN_API bool qn_corpus_multi_label(const qn_corpus *corpus);
/** A text as it stands in the file, in UTF-8; NULL if there is none of this number. */
QN_API const char *qn_corpus_text(const qn_corpus *corpus, int64_t index);
/** The line on which a text begins in its file, from 1; 0 if there is none of this number. */
QN_API int64_t qn_corpus_line(const qn_corpus *corpus, int64_t index);
/** The path that the corpus was opened by. */
QN_API const char *qn_corpus_path(const qn_corpus *corpus);
/** Number of labels of a text (0 if there is no such text); *labels points to their class numbers,
 * in rising order. */
QN_API int qn_corpus_labels(const qn_corpus *corpus, int64_t index, const int64_t **labels);

/* Parts of a corpus, as corpora that share its texts: it stays as long. Each class is divided
 * in the same proportion (a text with several labels counts to its first). Which texts go where is
 * random and depends on seed and the corpus alone; their order is kept. */

/** A random part with `fraction` (above 0, below 1) of the texts; *rest, which may be NULL, gets
 * the others. It is an error if either would be without texts. */
QN_API qn_corpus *qn_corpus_split(const qn_corpus *corpus, double fraction, uint64_t seed,
                                  qn_corpus **rest);
/** The texts to train on in fold number `fold` (from 0) of a cross-validation with `folds` folds (2
 * at least, no more than texts); *held_out, which may be NULL, gets those to test on. Over all
 * folds each text is held out once. */
QN_API qn_corpus *qn_corpus_fold(const qn_corpus *corpus, int folds, int fold, uint64_t seed,
                                 qn_corpus **held_out);

/* -------- Lines ----------------------------------------------------------------------------- */

/** The lines of a text file, one after the other, without holding the file: for texts without
 * labels. */
typedef struct qn_text_lines qn_text_lines;
/** Opens a file, plain or gzip; "-" is standard input. It belongs to the
 * context. Errors: IO_ERROR. */
QN_API qn_text_lines *qn_text_lines_open(qn_context *ctx, const char *path);
QN_API void qn_text_lines_free(qn_text_lines *lines);
/** The next line as UTF-8, decoded as qn_corpus_open() does it, without its end; valid until the
 * next call. NULL at the file's end, and on failure, which is then on the context: a zero byte, a
 * damaged gzip file, with "path:line:". */
QN_API const char *qn_text_lines_next(qn_text_lines *lines);
/** Number of the line that was given last, from 1. */
QN_API int64_t qn_text_lines_number(const qn_text_lines *lines);

/* -------- Vocabularies ----------------------------------------------------------------------- */

/** How a text becomes tokens.
 *
 * Characters are normalised first (Unicode's NFKC with case folding). Words are runs of letters,
 * digits and marks; English endings after an apostrophe are words of their own ("do n't", "it 's",
 * "we 'll"), as are the marks , ! ? ( ) and, beyond ASCII, punctuation like that of Spanish or
 * Chinese, currencies and symbols such as emoji; all else separates words. In scripts that are
 * written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each character is a word.
 * On English text these are the tokens of Kim 2014. */
typedef struct qn_tokenizer_opts {
    bool keep_case;  /**< no case folding */
    int ngrams;      /**< default 1, words alone; 2: and pairs of neighbours; up to 8 words */
    int64_t buckets; /**< numbers for n-grams of two and more words, which share them by a hash
                        (Joulin et al. 2017); default 65536 */
} qn_tokenizer_opts;

typedef struct qn_vocabulary_opts {
    qn_tokenizer_opts tokenizer;
    int min_count;    /**< least times that a word must occur; default 1 */
    int64_t max_size; /**< most words, the commonest; default: no limit */
} qn_vocabulary_opts;

/** Numbers of tokens that are not words. */
enum { QN_TOKEN_PADDING = 0, QN_TOKEN_UNKNOWN = 1, QN_TOKEN_FIRST_WORD = 2 };

/** Numbers the words of a corpus from QN_TOKEN_FIRST_WORD on, by falling count, then by first
 * appearance. The numbers of n-gram buckets follow. */
QN_API qn_vocabulary *qn_vocabulary_new(const qn_corpus *corpus, const qn_vocabulary_opts *opts);
QN_API void qn_vocabulary_free(qn_vocabulary *vocabulary);
/** One more than the largest number: the rows that an embedding needs, 2 + words + buckets. */
QN_API int64_t qn_vocabulary_size(const qn_vocabulary *vocabulary);
/** Number of words. */
QN_API int64_t qn_vocabulary_words(const qn_vocabulary *vocabulary);
/** The word of a number; "<pad>" and "<unk>" for 0 and 1; NULL for all else. */
QN_API const char *qn_vocabulary_word(const qn_vocabulary *vocabulary, int64_t id);
/** Writes the numbers of a text's tokens to `ids`, `limit` at most: its words in order, then its
 * n-grams of two words, of three, and so on. A text without tokens is one unknown token, so that no
 * sample is empty. Lines that are not UTF-8 are taken as Windows-1252. `ids` may be NULL when limit
 * is 0.
 *
 * Returns how many there are, which may be more than limit; -1 when memory
 * is out (on the context). */
QN_API int64_t qn_vocabulary_encode(const qn_vocabulary *vocabulary, const char *text, int64_t *ids,
                                    int64_t limit);
/** A vocabulary with its tokenizer's settings as a u8 tensor of the
 * step, to travel with a model. */
QN_API qn_tensor *qn_vocabulary_pack(qn_context *ctx, const qn_vocabulary *vocabulary);
/** The vocabulary in a tensor from qn_vocabulary_pack(). Every byte is checked: BAD_FORMAT with the
 * offset. */
QN_API qn_vocabulary *qn_vocabulary_unpack(const qn_tensor *packed);

/** Reads trained word vectors in the text format of GloVe ("word 0.1 0.2 ...", a word a line) or
 * word2vec (the same after a line "count width"), plain or gzip, into the rows of `table` (f32
 * [vocabulary size, width], contiguous) of those words that are in the file; other rows stay.
 * *found, which may be NULL, gets the number of such words. Words match byte for byte; of a word
 * that is there twice the first counts.
 *
 * Errors: SHAPE_MISMATCH, DTYPE_MISMATCH; BAD_FORMAT with "path:line:" for another width or what is
 * not a number. On failure the table is as it was. */
QN_API qn_status qn_vectors_read(qn_tensor *table, const qn_vocabulary *vocabulary,
                                 const char *path, int64_t *found);

/* -------- Datasets --------------------------------------------------------------------------- */

/** A corpus as numbers: x i64 [limit], 0-padded at the end, whose length is known to the loader, so
 * that a batch is as long as its longest text; y i64 [] a class, or f32 [classes] of 0 and 1 when a
 * text may have several. Texts longer than `limit` tokens lose their ends; 0 means: as long as the
 * longest. The corpus stays as long; the vocabulary is not needed afterwards. */
QN_API qn_dataset *qn_text_dataset(const qn_corpus *corpus, const qn_vocabulary *vocabulary,
                                   int64_t limit);

#ifdef __cplusplus
}
#endif

#endif
