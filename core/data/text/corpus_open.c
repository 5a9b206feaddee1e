/* corpus_open.c: opens files of labelled texts. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "corpus_build.h"

static const char *const endings[] = {"neg", "pos"}; /* of polarity files, and their classes */

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Length of the X of "X.pos", "X.neg", or these with ".gz"; 0 if a name is not of this kind. */
static size_t stem_length(const char *name) {
    size_t length = strlen(name);
    if (length > 3 && strcmp(name + length - 3, ".gz") == 0)
        length -= 3;
    bool fits = length > 4 && (strncmp(name + length - 4, ".pos", 4) == 0 ||
                               strncmp(name + length - 4, ".neg", 4) == 0);
    return fits ? length - 4 : 0;
}

/* "folder/" and the stem of the only pair in a folder, to be freed; NULL on failure. */
static char *find_pair(qn_context *ctx, const char *path) {
    DIR *folder = opendir(path);
    if (!folder) {
        qn_context_fail_io(ctx, errno, "%s", path);
        return NULL;
    }
    char *stem = NULL;
    bool several = false;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        size_t length = stem_length(entry->d_name), prefix = strlen(path) + 1;
        if (length && !stem) {
            stem = malloc(prefix + length + 1);
            if (!stem) {
                closedir(folder);
                qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for a file name", path);
                return NULL;
            }
            snprintf(stem, prefix + length + 1, "%s/%s", path, entry->d_name);
        } else if (length) {
            several = several || strlen(stem + prefix) != length ||
                      strncmp(stem + prefix, entry->d_name, length) != 0;
        }
    }
    closedir(folder);
    if (stem && !several)
        return stem;
    free(stem);
    qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: %s in this folder, please name %s", path,
                    several ? "several pairs X.pos and X.neg" : "no files X.pos and X.neg",
                    several ? "one of the files" : "the file");
    return NULL;
}

static char *copy_stem(qn_context *ctx, const char *path) {
    size_t length = stem_length(path);
    char *stem = NULL;
    if (length == 0) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "%s: expected a folder, or a name that ends with .pos or .neg", path);
    } else if (!(stem = strndup(path, length))) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for a file name", path);
    }
    return stem;
}

/* Reads X.pos or X.neg, plain or with ".gz". */
static qn_status read_half(qni_corpus_builder *b, const char *stem, const char *ending) {
    size_t size = strlen(stem) + sizeof ".pos.gz";
    char *path = malloc(size);
    if (!path)
        return qn_context_fail(b->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for a file name", stem);
    struct stat info;
    snprintf(path, size, "%s.%s.gz", stem, ending);
    bool packed = stat(path, &info) == 0;
    snprintf(path, size, "%s.%s", stem, ending);
    if (packed && stat(path, &info) != 0)
        snprintf(path, size, "%s.%s.gz", stem, ending);
    qni_bytes bytes;
    b->path = path;
    qn_status status = qni_text_read(b->ctx, path, &bytes, &b->corpus->notes);
    status = status != QN_OK ? status : qni_corpus_read_plain(b, &bytes, ending);
    free(bytes.data);
    free(path);
    b->path = b->corpus->path;
    return status;
}

static qn_status read_pair(qni_corpus_builder *b) {
    const char *path = b->corpus->path;
    char *stem = is_folder(path) ? find_pair(b->ctx, path) : copy_stem(b->ctx, path);
    if (!stem)
        return qn_context_error(b->ctx, NULL);
    qn_status status = QN_OK;
    for (size_t i = 0; i < 2 && status == QN_OK; i++)
        status = read_half(b, stem, endings[i]);
    free(stem);
    return status;
}

static qn_status read_file(qni_corpus_builder *b, qn_text_format format) {
    qni_bytes bytes;
    qn_status status = qni_text_read(b->ctx, b->path, &bytes, &b->corpus->notes);
    if (status == QN_OK && format == QN_TEXT_AUTO)
        status = qni_text_format_detect(b->ctx, b->path, &bytes, &format);
    if (status == QN_OK && format == QN_TEXT_TREC && b->delimiter) {
        status =
            qn_context_fail(b->ctx, QN_INVALID_ARGUMENT,
                            "%s: a delimiter, but texts in TREC's form have one label", b->path);
    }
    if (status == QN_OK) {
        status = format == QN_TEXT_CSV        ? qni_corpus_read_csv(b, &bytes)
                 : format == QN_TEXT_FASTTEXT ? qni_corpus_read_fasttext(b, &bytes)
                                              : qni_corpus_read_trec(b, &bytes);
    }
    free(bytes.data);
    return status;
}

/* What is wrong with the way a corpus is to be opened; NULL if nothing is. */
static const char *find_fault(const char *path, const qn_corpus_opts *opts) {
    if (!path)
        return "the name of the file of texts is NULL";
    if ((unsigned)opts->format > QN_TEXT_POLARITY)
        return "no such format of texts";
    if (opts->delimiter && !opts->delimiter[0])
        return "the delimiter between labels is empty";
    if (opts->delimiter && opts->format == QN_TEXT_POLARITY)
        return "a delimiter, but texts in polarity files have one label";
    return NULL;
}

static qn_status begin(qni_corpus_builder *b, const char *path, const qn_corpus_opts *opts) {
    qn_corpus *corpus = b->corpus;
    corpus->path = strdup(path);
    bool done = corpus->path;
    for (int64_t i = 0; done && i < qn_corpus_classes(opts->classes); i++) {
        const char *name = qn_corpus_class(opts->classes, i);
        done = qni_string_table_add(&b->classes, name, strlen(name)) >= 0;
    }
    if (!done)
        return qn_context_fail(b->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for a corpus", path);
    b->path = corpus->path;
    b->opts = opts;
    b->given = opts->classes;
    b->delimiter = opts->delimiter;
    corpus->multi_label = opts->delimiter || qn_corpus_multi_label(opts->classes);
    return QN_OK;
}

static qn_corpus *open_corpus(qn_context *ctx, const char *path, const qn_corpus_opts *opts) {
    qn_corpus_opts set = opts ? *opts : (qn_corpus_opts){0};
    if (!ctx || qn_context_error(ctx, NULL) != QN_OK)
        return NULL;
    const char *fault = find_fault(path, &set);
    if (fault) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s", fault);
        return NULL;
    }
    bool named_pair = is_folder(path) || stem_length(path) > 0;
    bool pair = set.format == QN_TEXT_POLARITY ||
                (set.format == QN_TEXT_AUTO && !set.delimiter && named_pair);
    qni_corpus_builder builder = {.ctx = ctx, .corpus = qni_corpus_new(ctx, NULL)};
    qn_status status = builder.corpus ? begin(&builder, path, &set) : QN_OUT_OF_MEMORY;
    if (status == QN_OK)
        status = pair ? read_pair(&builder) : read_file(&builder, set.format);
    status = status != QN_OK ? status : qni_corpus_finish(&builder);
    qni_string_table_free(&builder.classes);
    if (status != QN_OK) {
        qn_corpus_free(builder.corpus);
        return NULL;
    }
    return builder.corpus;
}

qn_corpus *qn_corpus_open(qn_context *ctx, const char *path, const qn_corpus_opts *opts) {
    void *locale = qn_locale_enter();
    qn_corpus *corpus = open_corpus(ctx, path, opts);
    qn_locale_leave(locale);
    return corpus;
}
