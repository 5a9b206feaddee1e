/* corpus_build.h: corpora from what lies in files. */
#ifndef QUERN_CORPUS_BUILD_H
#define QUERN_CORPUS_BUILD_H

#include "corpus.h"
#include "data/text_bytes.h"

/** A corpus under way. */
typedef struct qni_corpus_builder {
    qn_context *ctx;
    const char *path; /* of the file that is read now, for messages */
    int64_t line;     /* where the present text begins */
    const qn_corpus_opts *opts;
    const char *delimiter;  /* between labels; NULL: one label */
    const qn_corpus *given; /* NULL, or the corpus whose classes must do */
    qn_corpus *corpus;
    qni_string_table classes; /* in order of appearance */
    int64_t label_count, label_room, start_room, line_room;
} qni_corpus_builder;

/** Adds a label of the text that follows; spaces around it do not count.
 *
 * Errors of this and the next: BAD_FORMAT with file and line for an empty label, a control
 * character in it, a label that is not among the given classes, or several labels where the given
 * corpus has one; OUT_OF_MEMORY. */
qn_status qni_corpus_add_label(qni_corpus_builder *builder, const char *label, size_t length);
/** Adds a text, whose labels were added before. */
qn_status qni_corpus_add_text(qni_corpus_builder *builder, const char *text, size_t length);
/** Gives the corpus its classes, in order of name. */
qn_status qni_corpus_finish(qni_corpus_builder *builder);

/** Reads the bytes of the file builder->path, which are UTF-8, in one of the formats. */
qn_status qni_corpus_read_csv(qni_corpus_builder *builder, const qni_bytes *bytes);
qn_status qni_corpus_read_fasttext(qni_corpus_builder *builder, const qni_bytes *bytes);
qn_status qni_corpus_read_trec(qni_corpus_builder *builder, const qni_bytes *bytes);
/** Texts that all have one label. */
qn_status qni_corpus_read_plain(qni_corpus_builder *builder, const qni_bytes *bytes,
                                const char *label);

/** Tells CSV, fastText and TREC by the lines of a file; INVALID_ARGUMENT where that is not
 * possible. */
qn_status qni_text_format_detect(qn_context *ctx, const char *path, const qni_bytes *bytes,
                                 qn_text_format *format);

/** One line of a file. Lines end at LF alone: some files have other line ends within lines. */
typedef struct qni_line {
    const char *text; /* without spaces at its ends */
    size_t length;
    int64_t number; /* from 1 */
    size_t next;    /* offset of the line after it */
} qni_line;

/** The next line that is not empty, starting from a zero-initialised one. False at the end. */
bool qni_next_line(const qni_bytes *bytes, qni_line *line);

/** Takes spaces, tabs and line ends off both ends of a text. */
void qni_trim(const char **text, size_t *length);

/** What a line of fastText's form starts with. */
#define QNI_FASTTEXT_LABEL "__label__"

#endif
