/* corpus_csv.c: labelled texts in CSV files: which columns hold what, and their records. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "corpus_build.h"
#include "data/csv_records.h"

/** A reading under way; columns are numbered from 0, -1: not known yet. */
typedef struct reading {
    qni_corpus_builder *b;
    int label, text, columns;
    bool started;
} reading;

/* Names that columns of labels, and of texts, have in the sets of the field. */
static const char *const label_names[] = {"label",  "labels", "class",    "category", "sentiment",
                                          "target", "intent", "polarity", "tag",      NULL};
static const char *const text_names[] = {
    "text",     "texts", "review", "sentence", "message", "content",     "comment",
    "document", "body",  "tweet",  "question", "title",   "description", NULL};

/* ---- which columns ---------------------------------------------------------------------- */

static int find_name(const qni_csv_record *record, const char *name) {
    for (int i = 0; i < record->count; i++)
        if (strcasecmp(record->fields[i], name) == 0)
            return i;
    return -1;
}

/** The first column with one of these names; -1 if there is none. */
static int find_known(const qni_csv_record *record, const char *const *names) {
    int found = -1;
    for (; *names && found < 0; names++)
        found = find_name(record, *names);
    return found;
}

static qn_status no_column(const reading *r, const qni_csv_record *record, const char *column) {
    char fields[200] = "";
    for (int i = 0; i < record->count; i++) {
        const size_t used = strlen(fields);
        snprintf(fields + used, sizeof(fields) - used, "%s%.40s", i ? ", " : "", record->fields[i]);
    }
    return qn_context_fail(r->b->ctx, QN_INVALID_ARGUMENT,
                           "%s:%lld: no column '%s' among these %d: %s", r->b->path,
                           (long long)record->line, column, record->count, fields);
}

/** The column that an option names: by its number from 1, or by its header, which *header tells. */
static qn_status named_column(const reading *r, const qni_csv_record *record, const char *column,
                              int *out, bool *header) {
    char *end;
    if (!column)
        return QN_OK;
    const long number = strtol(column, &end, 10);
    if (*end == '\0' && end != column && number >= 1 && number <= record->count) {
        *out = (int)number - 1;
        return QN_OK;
    }
    *out = find_name(record, column);
    *header |= *out >= 0;
    return *out >= 0 ? QN_OK : no_column(r, record, column);
}

/** What is left to be known of two columns follows from the other; else
 * they stand as LABEL,text. */
static void complete(reading *r, const qni_csv_record *record) {
    if (record->count == 2 && r->label >= 0 && r->text < 0)
        r->text = 1 - r->label;
    if (record->count == 2 && r->text >= 0 && r->label < 0)
        r->label = 1 - r->text;
    if (record->count == 2 && r->label < 0) {
        r->label = 0;
        r->text = 1;
    }
}

static qn_status wrong_count(const reading *r, const qni_csv_record *record) {
    if (r->started && r->columns > 2)
        return qn_context_fail(r->b->ctx, QN_BAD_FORMAT, "%s:%lld: %d columns, expected %d",
                               r->b->path, (long long)record->line, record->count, r->columns);
    return qn_context_fail(
        r->b->ctx, QN_BAD_FORMAT,
        "%s:%lld: %d column%s, expected two: LABEL,text (text with commas stands "
        "in double quotes), or more with a header line that names them",
        r->b->path, (long long)record->line, record->count, record->count == 1 ? "" : "s");
}

static bool is_number(const char *column) {
    return column && *column && column[strspn(column, "0123456789")] == '\0';
}

/** A header with a name twice does not tell which of the two columns is meant; one chosen by its
 * number is. */
static qn_status refuse_same_names(const reading *r, const qni_csv_record *record) {
    const int label = is_number(r->b->opts->label_column) ? -1 : r->label;
    const int text = is_number(r->b->opts->text_column) ? -1 : r->text;
    for (int i = 0; i < record->count; i++)
        for (int j = 0; j < i; j++)
            if ((i == label || i == text || j == label || j == text) && *record->fields[i] &&
                strcasecmp(record->fields[i], record->fields[j]) == 0)
                return qn_context_fail(
                    r->b->ctx, QN_BAD_FORMAT,
                    "%s:%lld: columns %d and %d are both named '%s': name one by its number",
                    r->b->path, (long long)record->line, j + 1, i + 1, record->fields[i]);
    return QN_OK;
}

/** Chooses the columns by the first record; *header tells whether it is one of names. */
static qn_status choose_columns(reading *r, const qni_csv_record *record, bool *header) {
    const qn_corpus_opts *opts = r->b->opts;
    qn_status status = named_column(r, record, opts->label_column, &r->label, header);
    if (status == QN_OK)
        status = named_column(r, record, opts->text_column, &r->text, header);
    if (status != QN_OK)
        return status;
    const int label = find_known(record, label_names), text = find_known(record, text_names);
    if (label >= 0 && text >= 0) {
        *header = true;
        r->label = r->label >= 0 ? r->label : label;
        r->text = r->text >= 0 ? r->text : text;
    }
    complete(r, record);
    if (r->label < 0 || r->text < 0)
        return wrong_count(r, record);
    if (r->label == r->text)
        return qn_context_fail(r->b->ctx, QN_INVALID_ARGUMENT,
                               "%s: column %d cannot hold both labels and texts", r->b->path,
                               r->label + 1);
    const qn_status twice = *header ? refuse_same_names(r, record) : QN_OK;
    if (twice != QN_OK)
        return twice;
    if (*header)
        qni_notes_add(&r->b->corpus->notes,
                      "%s:%lld: a header line: labels from column '%s', texts from column '%s'",
                      r->b->path, (long long)record->line, record->fields[r->label],
                      record->fields[r->text]);
    return QN_OK;
}

/* ---- records ---------------------------------------------------------------------------- */

static qn_status add_labels(qni_corpus_builder *b, const char *label) {
    for (const char *end; b->delimiter && (end = strstr(label, b->delimiter));) {
        qn_status status = qni_corpus_add_label(b, label, (size_t)(end - label));
        if (status != QN_OK)
            return status;
        label = end + strlen(b->delimiter);
    }
    return qni_corpus_add_label(b, label, strlen(label));
}

static qn_status take_record(void *data, const qni_csv_record *record) {
    reading *r = data;
    bool header = false;
    r->b->line = record->line;
    if (!r->started) {
        qn_status status = choose_columns(r, record, &header);
        r->started = true;
        r->columns = record->count;
        if (status != QN_OK || header)
            return status;
    }
    if (record->count != r->columns)
        return wrong_count(r, record);
    qn_status status = add_labels(r->b, record->fields[r->label]);
    const char *text = record->fields[r->text];
    return status == QN_OK ? qni_corpus_add_text(r->b, text, strlen(text)) : status;
}

/* ---- what surely is wrong --------------------------------------------------------------- */

/** Number of different texts of a corpus; -1 when memory is out. */
static int64_t different_texts(const qn_corpus *corpus) {
    qni_string_table table = {0};
    int64_t count = 0;
    for (int64_t i = 0; i < corpus->count && count >= 0; i++) {
        const char *text = qni_strings_at(&corpus->texts, i);
        count = qni_string_table_add(&table, text, strlen(text)) < 0 ? -1 : table.strings.count;
    }
    qni_string_table_free(&table);
    return count;
}

/** Labels that hardly ever come twice are texts: refused where the other column looks like labels,
 * and told where it does not. */
static qn_status check_columns(const reading *r) {
    enum { FEW = 10 };
    const qni_corpus_builder *b = r->b;
    const int64_t texts = b->corpus->count, classes = b->classes.strings.count;
    if (b->given || texts < FEW || 2 * classes <= texts)
        return QN_OK;
    const int64_t different = different_texts(b->corpus);
    if (different < 0)
        return qn_context_fail(b->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for the texts",
                               b->path);
    if (2 * different <= texts && !b->opts->label_column)
        return qn_context_fail(
            b->ctx, QN_BAD_FORMAT,
            "%s: %lld different labels for %lld texts, of which %lld differ: are "
            "the columns text,LABEL? Then name them (label column %d, text "
            "column %d)",
            b->path, (long long)classes, (long long)texts, (long long)different, r->text + 1,
            r->label + 1);
    qni_notes_add(&b->corpus->notes, "%s: %lld classes for %lld texts: most have a single text",
                  b->path, (long long)classes, (long long)texts);
    return QN_OK;
}

qn_status qni_corpus_read_csv(qni_corpus_builder *b, const qni_bytes *bytes) {
    const char separator = qni_csv_separator(bytes);
    reading r = {.b = b, .label = -1, .text = -1};
    if (separator != ',')
        qni_notes_add(&b->corpus->notes, "%s: columns are separated by %s", b->path,
                      separator == ';' ? "semicolons" : "tabs");
    qn_status status = qni_csv_read(b->ctx, b->path, bytes, separator, take_record, &r);
    return status == QN_OK ? check_columns(&r) : status;
}
