/* vectors.c: word vectors in the text formats of GloVe (Pennington et al. 2014) and word2vec. */
#define _GNU_SOURCE /* for strtof_l() */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "data/text_bytes.h"
#include "vocabulary.h"

enum { FIRST_ROOM = 1 << 16, MAX_LINE = 1 << 26 };

/* A file that is being read line by line: such files have gigabytes. */
typedef struct vector_reader {
    qn_context *ctx;
    const char *path;
    const qn_vocabulary *vocabulary;
    gzFile file;
    locale_t locale; /* "C": decimal points, whatever the program's language */
    char *line;
    size_t room;
    long long number; /* of the line */
    int64_t width, expected, vectors;
    float *rows;   /* the table */
    bool *is_read; /* by row */
    int64_t found;
} vector_reader;

static qn_status bad_line(const vector_reader *r, const char *what) {
    return qn_context_fail(r->ctx, QN_BAD_FORMAT, "%s:%lld: %s", r->path, r->number, what);
}

/* Doubles the room for a line; false on failure. */
static bool grow_line(vector_reader *r) {
    if (r->room >= MAX_LINE) {
        bad_line(r, "a line of more than 64 MiB, expected a word and its numbers");
        return false;
    }
    size_t room = r->room ? 2 * r->room : FIRST_ROOM;
    char *line = realloc(r->line, room);
    if (!line) {
        qn_context_fail(r->ctx, QN_OUT_OF_MEMORY, "%s:%lld: out of memory for the line", r->path,
                        r->number);
        return false;
    }
    r->line = line;
    r->room = room;
    return true;
}

/* Reads the next line into r->line; *length is its bytes, *more false at the file's end. */
static qn_status read_line(vector_reader *r, size_t *length, bool *more) {
    *length = 0;
    r->number++;
    do {
        if (*length + 1 >= r->room && !grow_line(r))
            return qn_context_error(r->ctx, NULL);
        z_off_t before = gztell(r->file);
        if (!gzgets(r->file, r->line + *length, (int)(r->room - *length))) {
            *more = *length > 0;
            return qni_gzip_status(r->ctx, r->file, r->path, r->number);
        }
        size_t got = strlen(r->line + *length);
        if ((z_off_t)got != gztell(r->file) - before)
            return bad_line(r, "a zero byte, expected a word and its numbers");
        *length += got;
    } while (r->line[*length - 1] != '\n');
    *more = true;
    return QN_OK;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* A number that ends where a blank or the line does. */
static bool parse_number(const vector_reader *r, const char *text, float *out) {
    char *end;
    *out = strtof_l(text, &end, r->locale);
    return end != text && (!*end || is_blank(*end)) && isfinite(*out);
}

/* Whether the line is word2vec's first, "count width". */
static bool take_header(vector_reader *r, size_t length, int64_t *width) {
    const char *text = r->line;
    if (r->number != 1 || strspn(text, "0123456789 ") != length || *text == ' ' || length > 40)
        return false;
    char *end;
    long long count = strtoll(text, &end, 10);
    size_t blanks = strspn(end, " ");
    if (blanks == 0)
        return false;
    *width = strtoll(end + blanks, &end, 10);
    r->expected = count;
    return !*end;
}

/* Length of the word before the last `width` pieces of a line; 0 if there are not so many. *numbers
 * gets where the first of these begins. */
static size_t split_line(const vector_reader *r, size_t length, const char **numbers) {
    for (int64_t i = 0; i < r->width; i++) {
        while (length > 0 && !is_blank(r->line[length - 1]))
            length--;
        *numbers = r->line + length;
        while (length > 0 && is_blank(r->line[length - 1]))
            length--;
    }
    return length;
}

/* Some words of GloVe's largest file have spaces in them, but none ends with a number. */
static bool ends_with_number(const vector_reader *r, size_t length) {
    size_t start = length;
    while (start > 0 && !is_blank(r->line[start - 1]))
        start--;
    float ignored;
    return start > 0 && parse_number(r, r->line + start, &ignored);
}

static qn_status take_vector(vector_reader *r, size_t length) {
    const char *at = r->line;
    size_t word = split_line(r, length, &at);
    bool more = word > 0 && ends_with_number(r, word);
    if (word == 0 || more) {
        return qn_context_fail(
            r->ctx, QN_BAD_FORMAT,
            "%s:%lld: %s numbers, expected a word and %lld, as the table is wide", r->path,
            r->number, more ? "more" : "fewer", (long long)r->width);
    }
    r->vectors++;
    int64_t row = qni_vocabulary_find(r->vocabulary, r->line, word);
    if (row < QN_TOKEN_FIRST_WORD || r->is_read[row])
        return QN_OK;
    for (int64_t i = 0; i < r->width; i++) {
        if (!parse_number(r, at, &r->rows[row * r->width + i])) {
            return qn_context_fail(r->ctx, QN_BAD_FORMAT,
                                   "%s:%lld: \"%.*s\", expected a finite number", r->path,
                                   r->number, (int)strcspn(at, " \t"), at);
        }
        at += strcspn(at, " \t");
        at += strspn(at, " \t");
    }
    r->is_read[row] = true;
    r->found++;
    return QN_OK;
}

static qn_status take_line(vector_reader *r, size_t length) {
    while (length > 0 && is_blank(r->line[length - 1]))
        length--;
    r->line[length] = 0;
    int64_t width;
    if (length == 0)
        return QN_OK;
    if (!take_header(r, length, &width))
        return take_vector(r, length);
    if (width == r->width)
        return QN_OK;
    return qn_context_fail(r->ctx, QN_BAD_FORMAT,
                           "%s:1: vectors of %lld numbers, expected %lld, as the table is wide",
                           r->path, (long long)width, (long long)r->width);
}

static qn_status read_vectors(vector_reader *r) {
    size_t length;
    bool more = true;
    r->expected = -1;
    while (more) {
        qn_status status = read_line(r, &length, &more);
        if (status == QN_OK && more)
            status = take_line(r, length);
        if (status != QN_OK)
            return status;
    }
    if (r->vectors == 0 || (r->expected >= 0 && r->vectors != r->expected)) {
        char expected[32] = "some";
        if (r->expected >= 0)
            snprintf(expected, sizeof(expected), "%lld", (long long)r->expected);
        return qn_context_fail(r->ctx, QN_BAD_FORMAT, "%s: %lld words, expected %s", r->path,
                               (long long)r->vectors, expected);
    }
    return QN_OK;
}

/* Opens what the reader needs, reads, and closes it again. */
static qn_status read_file(vector_reader *r) {
    errno = 0;
    r->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    r->file = r->locale ? gzopen(r->path, "rb") : NULL;
    qn_status status = QN_OK;
    if (r->file) {
        gzbuffer(r->file, FIRST_ROOM);
        status = read_vectors(r);
        gzclose_r(r->file);
    } else {
        status = qn_context_fail_io(r->ctx, r->locale && errno ? errno : ENOMEM, "%s", r->path);
    }
    if (r->locale)
        freelocale(r->locale);
    free(r->line);
    return status;
}

static qn_status check_table(const qn_tensor *table, const qn_vocabulary *v, const char *path) {
    qn_context *ctx = qn_tensor_context(table);
    const qn_shape shape = qn_tensor_shape(table);
    if (!path)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "the name of the file of vectors is NULL");
    if (qn_tensor_dtype(table) != QN_F32) {
        return qn_context_fail(ctx, QN_DTYPE_MISMATCH, "vectors: a table of %s, expected f32",
                               qn_dtype_string(qn_tensor_dtype(table)));
    }
    if (shape.rank != 2 || shape.dim[0] != qn_vocabulary_size(v) || shape.dim[1] < 1) {
        return qn_context_fail(ctx, QN_SHAPE_MISMATCH,
                               "vectors: a table of %lld rows and rank %d, expected [%lld, width]",
                               (long long)qn_tensor_dim(table, 0), shape.rank,
                               (long long)qn_vocabulary_size(v));
    }
    if (!qn_tensor_is_contiguous(table))
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "vectors: the table is not contiguous");
    return QN_OK;
}

qn_status qn_vectors_read(qn_tensor *table, const qn_vocabulary *v, const char *path,
                          int64_t *found) {
    qn_context *ctx = qn_tensor_context(table);
    if (!table || !v) {
        return qn_context_fail(v ? v->ctx : ctx, QN_INVALID_ARGUMENT, "vectors_read: %s is NULL",
                               table ? "the vocabulary" : "the table");
    }
    if (!qn_object_alive(v, "vectors_read"))
        return QN_INVALID_ARGUMENT;
    qn_status status = qn_context_error(ctx, NULL);
    status = status != QN_OK ? status : check_table(table, v, path);
    if (status != QN_OK)
        return status;
    const size_t bytes = (size_t)qn_tensor_count(table) * sizeof(float);
    vector_reader reader = {.ctx = ctx,
                            .path = path,
                            .vocabulary = v,
                            .width = qn_tensor_dim(table, 1),
                            .rows = malloc(bytes),
                            .is_read = calloc((size_t)qn_vocabulary_size(v), sizeof(bool))};
    if (!reader.rows || !reader.is_read)
        status = qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for its vectors", path);
    status = status != QN_OK ? status : qn_tensor_read(table, reader.rows, bytes);
    status = status != QN_OK ? status : read_file(&reader);
    status = status != QN_OK ? status : qn_tensor_write(table, reader.rows, bytes);
    if (status == QN_OK && found)
        *found = reader.found;
    free(reader.rows);
    free(reader.is_read);
    return status;
}
