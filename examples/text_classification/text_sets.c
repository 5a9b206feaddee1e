/* text_sets.c: which files a set of texts is, and its parts to train and to test on. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "text_classification.h"

#define PATH_SIZE 4096

/* By qn_text_format. */
const char *const text_formats[] = {"auto", "csv", "fasttext", "trec", "polarity", NULL};

/** The files of a set; "" where there is none. */
typedef struct set_files {
    char train[PATH_SIZE]; /* or all of the set, or the positive of a pair */
    char test[PATH_SIZE];
} set_files;

/* ---- files of a folder --------------------------------------------------------------------- */

/** What a file is to a set. */
typedef enum set_part { NO_PART, TRAIN_PART, TEST_PART, PAIR_PART } set_part;

/** Splits a file's name at its part: "spam.train.csv.gz" is the train part of "spam", "reviews.pos"
 * one of the pair "reviews", and "test.csv" the test part of "". */
static set_part split_name(const char *name, char set[NAME_MAX + 1]) {
    static const struct {
        const char *word;
        set_part part;
    } words[] = {{"train", TRAIN_PART}, {"test", TEST_PART}, {"pos", PAIR_PART}};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        const size_t length = strlen(words[i].word);
        for (const char *at = name; (at = strstr(at, words[i].word)); at++) {
            const bool begins = at == name || strchr(".-_", at[-1]);
            if (!begins || (at[length] != '.' && at[length] != '\0'))
                continue;
            snprintf(set, NAME_MAX + 1, "%.*s", at == name ? 0 : (int)(at - name - 1), name);
            return words[i].part;
        }
    }
    return NO_PART;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/** Puts a file in its place; a second one for a place is an error. */
static int take_file(const char *folder, const char *name, set_part part, set_files *out) {
    char *place = part == TEST_PART ? out->test : out->train;
    if (*place)
        return example_error("'%s' holds two files of one part: '%s' and '%s'", folder,
                             strrchr(place, '/') + 1, name);
    if (snprintf(place, PATH_SIZE, "%s/%s", folder, name) >= PATH_SIZE)
        return example_error("file name too long: '%s'", name);
    return EXAMPLE_OK;
}

/** Finds the files of a set among a folder's entries; `wanted` NULL: of the only set there is. */
static int choose_files(const char *folder, const char *wanted, struct dirent **entries, int count,
                        set_files *out) {
    char first[NAME_MAX + 1], set[NAME_MAX + 1];
    bool found = false;
    for (int i = 0; i < count; i++) {
        const set_part part = split_name(entries[i]->d_name, set);
        if (part == NO_PART || (wanted && strcmp(set, wanted) != 0))
            continue;
        if (found && strcmp(set, first) != 0)
            return example_error("'%s' holds several sets: name one, as '%s/%s'", folder, folder,
                                 first);
        int code = take_file(folder, entries[i]->d_name, part, out);
        if (code != EXAMPLE_OK)
            return code;
        snprintf(first, sizeof(first), "%s", set);
        found = true;
    }
    if (found)
        return EXAMPLE_OK;
    return wanted ? example_error("no file or set '%s/%s'", folder, wanted)
                  : example_error("'%s' holds no set: NAME.train and NAME.test, or NAME.pos and "
                                  "NAME.neg, are expected",
                                  folder);
}

static int scan_folder(const char *folder, const char *wanted, set_files *out) {
    struct dirent **entries;
    const int count = scandir(folder, &entries, NULL, by_name);
    if (count < 0)
        return example_io_error(errno, "cannot read '%s'", folder);
    const int code = choose_files(folder, wanted, entries, count, out);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return code;
}

/* ---- what the options name ----------------------------------------------------------------- */

/** A folder that holds one set, a set's file, or FOLDER/NAME for one set of several. */
static int find_set(const char *path, set_files *out) {
    struct stat info;
    char folder[PATH_SIZE];
    snprintf(folder, sizeof(folder), "%s", path);
    for (size_t end = strlen(folder); end > 1 && folder[end - 1] == '/'; end--)
        folder[end - 1] = '\0';
    if (stat(folder, &info) == 0 && S_ISDIR(info.st_mode))
        return scan_folder(folder, NULL, out);
    if (stat(folder, &info) == 0) {
        snprintf(out->train, PATH_SIZE, "%s", folder);
        return EXAMPLE_OK;
    }
    char *slash = strrchr(folder, '/');
    if (!slash)
        return scan_folder(".", folder, out);
    *slash = '\0';
    return scan_folder(slash == folder ? "/" : folder, slash + 1, out);
}

/** The path that --data names, which may be a set's stem and so no file: as it stands if its folder
 * is there, else in $QUERN_DATA_DIR; without --data the place where the program's own data lies. */
static void data_path(const example_options *options, char out[PATH_SIZE]) {
    char folder[PATH_SIZE], found[PATH_SIZE];
    struct stat info;
    example_data_folder(options, out, PATH_SIZE);
    if (!options->data || stat(out, &info) == 0)
        return;
    snprintf(folder, sizeof(folder), "%s", options->data);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return;
    *slash = '\0';
    example_data_path(folder, found, sizeof(found));
    snprintf(out, PATH_SIZE, "%.*s/%s", PATH_SIZE / 2, found, slash + 1);
}

static int find_files(const example_options *options, set_files *out) {
    const char *train = options->own[TEXT_TRAIN], *test = options->own[TEXT_TEST];
    char data[PATH_SIZE];
    *out = (set_files){.train = ""};
    if (train && options->data)
        return example_error("--train and --data do not go together");
    if (!train && (options->command == EXAMPLE_TRAIN || !test)) {
        data_path(options, data);
        int code = find_set(data, out);
        if (code != EXAMPLE_OK)
            return code;
    }
    if (train)
        example_data_path(train, out->train, PATH_SIZE);
    if (test)
        example_data_path(test, out->test, PATH_SIZE);
    return EXAMPLE_OK;
}

/** Settings of the files as the options have them. */
static qn_corpus_opts corpus_opts(const example_options *options, const qn_corpus *classes) {
    qn_corpus_opts opts = {.delimiter = options->own[TEXT_DELIMITER],
                           .classes = classes,
                           .label_column = options->own[TEXT_LABEL_COLUMN],
                           .text_column = options->own[TEXT_TEXT_COLUMN]};
    const char *format = options->own[TEXT_FORMAT];
    for (int i = 0; format && text_formats[i]; i++)
        if (strcmp(text_formats[i], format) == 0)
            opts.format = (qn_text_format)i;
    return opts;
}

/* ---- corpora ------------------------------------------------------------------------------- */

/** One way to get a test part, and one only. */
static int check_parts(const example_options *options, const set_files *files) {
    const bool test = options->own[TEXT_TEST], folds = options->own[TEXT_FOLDS];
    const bool holdout = options->own[TEXT_HOLDOUT];
    if (test + folds + holdout > 1)
        return example_error("only one of --test, --holdout and --folds can be");
    if (folds || holdout || *files->test)
        return EXAMPLE_OK;
    return example_error("'%s' has no test part: add --test FILE, --holdout 0.1 or --folds 10",
                         files->train);
}

/** What nothing can be learnt from: texts without a word, or of one class. */
static int check_texts(const qn_corpus *corpus) {
    const char *path = qn_corpus_path(corpus);
    bool has_words = false;
    for (int64_t i = 0; i < qn_corpus_count(corpus) && !has_words; i++) {
        const char *text = qn_corpus_text(corpus, i);
        has_words = text[strspn(text, " \t\r\n")] != '\0';
    }
    if (!has_words)
        return example_error("%s: all texts are empty", path);
    if (qn_corpus_classes(corpus) < 2 && !qn_corpus_multi_label(corpus))
        return example_error("%s: all texts have the label '%s': expected two classes or more",
                             path, qn_corpus_class(corpus, 0));
    return EXAMPLE_OK;
}

int text_set_open(const example_options *options, qn_context *ctx, text_set *out) {
    set_files files;
    *out = (text_set){.all = NULL};
    int code = find_files(options, &files);
    if (code == EXAMPLE_OK)
        code = check_parts(options, &files);
    if (code != EXAMPLE_OK)
        return code;
    qn_corpus_opts opts = corpus_opts(options, NULL);
    out->all = out->train = qn_corpus_open(ctx, files.train, &opts);
    const char *slash = strrchr(files.train, '/');
    snprintf(out->name, sizeof(out->name), "%s", slash ? slash + 1 : files.train);
    if (!out->all)
        return example_status(ctx);
    example_notes(qn_corpus_notes(out->all));
    code = check_texts(out->all);
    if (code != EXAMPLE_OK)
        return code;
    if (options->own[TEXT_FOLDS])
        return EXAMPLE_OK;
    if (options->own[TEXT_HOLDOUT]) {
        const double kept = 1 - options->number[TEXT_HOLDOUT];
        out->train = qn_corpus_split(out->all, kept, options->seed, &out->test);
    } else {
        opts.classes = out->all;
        out->test = qn_corpus_open(ctx, files.test, &opts);
        example_notes(qn_corpus_notes(out->test));
    }
    return example_status(ctx);
}

int text_test_open(const example_options *options, qn_context *ctx, const text_model *model,
                   qn_corpus **out) {
    set_files files;
    int code = find_files(options, &files);
    if (code != EXAMPLE_OK)
        return code;
    if (!*files.test)
        return example_error("'%s' has no test part: name it by --test", files.train);
    qn_corpus_opts opts = corpus_opts(options, NULL);
    if (!opts.delimiter && *model->delimiter)
        opts.delimiter = model->delimiter;
    *out = qn_corpus_open(ctx, files.test, &opts);
    example_notes(qn_corpus_notes(*out));
    return example_status(ctx);
}
