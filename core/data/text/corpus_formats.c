/* corpus_formats.c: the forms in which files hold labelled texts line by line, and telling them. */
#include <string.h>

#include "corpus_build.h"

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

void qni_trim(const char **text, size_t *length) {
    for (; *length > 0 && is_space(**text); (*length)--)
        (*text)++;
    for (; *length > 0 && is_space((*text)[*length - 1]); (*length)--) {
    }
}

bool qni_next_line(const qni_bytes *bytes, qni_line *line) {
    while (line->next < bytes->size) {
        line->text = (const char *)bytes->data + line->next;
        const char *end = memchr(line->text, '\n', bytes->size - line->next);
        line->length = end ? (size_t)(end - line->text) : bytes->size - line->next;
        line->next += line->length + 1;
        line->number++;
        qni_trim(&line->text, &line->length);
        if (line->length > 0)
            return true;
    }
    return false;
}

/* Bytes up to the first space. */
static size_t word_length(const char *text, size_t length) {
    size_t end = 0;
    while (end < length && !is_space(text[end]))
        end++;
    return end;
}

/* Adds the labels that a line begins with, and takes them off it. */
static qn_status take_labels(qni_corpus_builder *b, qni_line *line) {
    const size_t mark = strlen(QNI_FASTTEXT_LABEL);
    while (line->length >= mark && memcmp(line->text, QNI_FASTTEXT_LABEL, mark) == 0) {
        size_t length = word_length(line->text, line->length);
        qn_status status = qni_corpus_add_label(b, line->text + mark, length - mark);
        if (status != QN_OK)
            return status;
        line->text += length;
        line->length -= length;
        qni_trim(&line->text, &line->length);
    }
    return QN_OK;
}

qn_status qni_corpus_read_fasttext(qni_corpus_builder *b, const qni_bytes *bytes) {
    qn_status status = QN_OK;
    for (qni_line line = {0}; status == QN_OK && qni_next_line(bytes, &line);) {
        b->line = line.number;
        const char *start = line.text;
        status = take_labels(b, &line);
        if (status == QN_OK && line.text == start) {
            return qn_context_fail(
                b->ctx, QN_BAD_FORMAT,
                "%s:%lld: no label, expected the line to start with " QNI_FASTTEXT_LABEL "NAME",
                b->path, (long long)line.number);
        }
        status = status != QN_OK ? status : qni_corpus_add_text(b, line.text, line.length);
    }
    return status;
}

qn_status qni_corpus_read_trec(qni_corpus_builder *b, const qni_bytes *bytes) {
    qn_status status = QN_OK;
    for (qni_line line = {0}; status == QN_OK && qni_next_line(bytes, &line);) {
        b->line = line.number;
        size_t word = word_length(line.text, line.length);
        const char *colon = memchr(line.text, ':', word);
        if (!colon) {
            return qn_context_fail(b->ctx, QN_BAD_FORMAT,
                                   "%s:%lld: no label, expected the line to start with LABEL:fine",
                                   b->path, (long long)line.number);
        }
        status = qni_corpus_add_label(b, line.text, (size_t)(colon - line.text));
        line.text += word;
        line.length -= word;
        qni_trim(&line.text, &line.length);
        status = status != QN_OK ? status : qni_corpus_add_text(b, line.text, line.length);
    }
    return status;
}

qn_status qni_corpus_read_plain(qni_corpus_builder *b, const qni_bytes *bytes, const char *label) {
    qn_status status = QN_OK;
    for (qni_line line = {0}; status == QN_OK && qni_next_line(bytes, &line);) {
        b->line = line.number;
        status = qni_corpus_add_label(b, label, strlen(label));
        status = status != QN_OK ? status : qni_corpus_add_text(b, line.text, line.length);
    }
    return status;
}

/* What one line could be. */
typedef struct line_forms {
    bool csv, fasttext, trec;
} line_forms;

static bool has_separator(const qni_line *line) {
    return memchr(line->text, ',', line->length) || memchr(line->text, ';', line->length) ||
           memchr(line->text, '\t', line->length);
}

static line_forms forms_of(const qni_line *line) {
    const size_t mark = strlen(QNI_FASTTEXT_LABEL);
    const size_t word = word_length(line->text, line->length);
    line_forms forms = {.csv = line->text[0] == '"' || has_separator(line)};
    forms.fasttext = word > mark && memcmp(line->text, QNI_FASTTEXT_LABEL, mark) == 0;
    size_t upper = 0, lower = 0;
    while (upper < word && line->text[upper] >= 'A' && line->text[upper] <= 'Z')
        upper++;
    if (upper > 0 && upper < word && line->text[upper] == ':') {
        while (upper + 1 + lower < word && line->text[upper + 1 + lower] >= 'a' &&
               line->text[upper + 1 + lower] <= 'z') {
            lower++;
        }
        forms.trec = lower > 0 && upper + 1 + lower == word;
    }
    return forms;
}

static bool has_one_comma(const qni_line *line) {
    const char *comma = memchr(line->text, ',', line->length);
    return comma && !memchr(comma + 1, ',', line->length - (size_t)(comma + 1 - line->text));
}

/* TREC's questions have commas, and a label in CSV may have a colon: all lines are asked. */
static qn_text_format csv_or_trec(const qni_bytes *bytes) {
    bool csv = true, trec = true;
    for (qni_line line = {0}; qni_next_line(bytes, &line);) {
        csv = csv && has_one_comma(&line);
        trec = trec && forms_of(&line).trec;
    }
    return csv == trec ? QN_TEXT_AUTO : csv ? QN_TEXT_CSV : QN_TEXT_TREC;
}

qn_status qni_text_format_detect(qn_context *ctx, const char *path, const qni_bytes *bytes,
                                 qn_text_format *format) {
    qni_line line = {0};
    if (!qni_next_line(bytes, &line))
        return qn_context_fail(ctx, QN_BAD_FORMAT, "%s: there are no texts", path);
    const line_forms forms = forms_of(&line);
    const size_t word = word_length(line.text, line.length);
    *format = QN_TEXT_AUTO;
    if (forms.fasttext) {
        *format = memchr(line.text, ',', word) ? QN_TEXT_AUTO : QN_TEXT_FASTTEXT;
    } else if (forms.csv && forms.trec) {
        *format = csv_or_trec(bytes);
    } else if (forms.csv || forms.trec) {
        *format = forms.csv ? QN_TEXT_CSV : QN_TEXT_TREC;
    }
    if (*format != QN_TEXT_AUTO)
        return QN_OK;
    return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                           "%s:%lld: cannot tell the format (%s), please name it", path,
                           (long long)line.number,
                           forms.fasttext ? "CSV or fastText"
                           : forms.trec   ? "CSV or TREC"
                                          : "neither CSV, fastText nor TREC");
}
