/* test_locale_calls.c: no call in the library reads or writes numbers, or compares letters, by the
 * locale that the program has set, but those listed here with why they may. The programs set none,
 * so that theirs is "C". */
#include <criterion/criterion.h>
#include <ctype.h>
#include <fts.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** A call that may stand in a file; "%" is a number with a fraction that a function of printf's kin
 * writes. */
static const struct {
    const char *file, *call, *why;
} allowed[] = {
    {"core/locale.c", "newlocale", "makes the scope"},
    {"core/locale.c", "uselocale", "is the scope"},
    {"core/data/text/vectors.c", "newlocale", "numbers by strtof_l(), the fastest way"},
    {"core/cmake/write_ops.c", "%", "a program of the build, which sets no locale"},
    {"core/data/series/series.c", "strtod", "within qn_series_open()'s scope"},
    {"core/data/series/series.c", "strcasecmp", "within qn_series_open()'s scope"},
    {"core/data/text/corpus_csv.c", "strcasecmp", "within qn_corpus_open()'s scope"},
    {"core/data/series/series_calendar.c", "isdigit", "the same ten digits in each locale"},
    {"core/data/image/image_pgm.c", "isdigit", "the same ten digits in each locale"},
    {"core/train/checkpoint_load.c", "strtod", "in a scope"},
    {"core/train/text.c", "strtod", "in a scope"},
    {"core/train/text.c", "%", "in a scope"},
    {"core/train/report.c", "strftime", "digits only"},
    {"core/train/report.c", "%", "within qni_report_write()'s scope"},
    {"core/train/report_chart.c", "%", "in a scope"},
    {"core/train/report_confusion.c", "%", "within qni_report_write()'s scope"},
    {"core/train/report_mistakes.c", "%", "within qni_report_write()'s scope"},
    {"core/train/progress.c", "%", "in a scope"},
    {"core/plan/plan_log.c", "%", "within qni_trace_log()'s scope"},
    {"core/tensor_io.c", "%", "in a scope"},
    {"backends/cpu/cpu_quota.c", "sscanf", "whole numbers"},
    {"backends/cuda/cuda.c", "%", "without digits behind a point"},
};

static const char *const by_locale[] = {
    "strtod",     "strtof",      "strtold",    "atof",     "sscanf",  "fscanf",     "vsscanf",
    "isspace",    "isalpha",     "isdigit",    "isalnum",  "isupper", "islower",    "ispunct",
    "isprint",    "isgraph",     "isxdigit",   "isblank",  "iscntrl", "toupper",    "tolower",
    "strcasecmp", "strncasecmp", "strcasestr", "strcoll",  "strxfrm", "strftime",   "strptime",
    "mbstowcs",   "mbtowc",      "mbrtowc",    "wcstombs", "wcwidth", "localeconv", "setlocale",
    "uselocale",  "newlocale",   "strfmon",    "regcomp",  "fnmatch", "scandir",    "alphasort",
};

static bool may_be(const char *file, const char *call) {
    for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
        if (strcmp(allowed[i].file, file) == 0 && strcmp(allowed[i].call, call) == 0)
            return true;
    return false;
}

/* ---- reading sources ----------------------------------------------------------------------- */

/** A source without its comments; to be freed. */
static char *read_code(const char *path) {
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    fseek(file, 0, SEEK_END);
    const size_t size = (size_t)ftell(file);
    char *text = calloc(1, size + 2);
    rewind(file);
    cr_assert_eq(fread(text, 1, size, file), size);
    fclose(file);
    for (char *c = text; *c; c++) {
        const char *end = strncmp(c, "/*", 2) == 0 ? strstr(c, "*/") : NULL;
        if (strncmp(c, "//", 2) == 0)
            end = strchr(c, '\n');
        for (; end && c < end; c++)
            *c = ' ';
    }
    return text;
}

/** The next call of a function from `at` on; NULL if there is none. */
static const char *find_call(const char *at, const char *name) {
    const size_t length = strlen(name);
    for (; (at = strstr(at, name)); at += length)
        if (at[length] == '(' && !isalnum((unsigned char)at[-1]) && at[-1] != '_')
            return at;
    return NULL;
}

static bool matches(const char *text, const char *pattern) {
    regex_t regex;
    cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    const bool found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

static int calls_seen;

static void check_names(const char *file, const char *code) {
    for (size_t i = 0; i < sizeof(by_locale) / sizeof(*by_locale); i++)
        if (find_call(code, by_locale[i])) {
            calls_seen++;
            cr_expect(may_be(file, by_locale[i]),
                      "%s: %s() depends on the program's locale: qn_locale_enter(), or another way",
                      file, by_locale[i]);
        }
}

/** Statements in which a function of printf's kin writes a number with a fraction. What
 * qn_context_fail() and the like take is written in a scope. */
static void check_numbers(const char *file, char *code) {
    static const char *const writers[] = {"printf",   "fprintf",   "sprintf",  "snprintf",
                                          "asprintf", "vsnprintf", "vfprintf", "dprintf"};
    char *rest = NULL;
    for (char *statement = strtok_r(code, ";", &rest); statement;
         statement = strtok_r(NULL, ";", &rest))
        for (size_t i = 0; i < sizeof(writers) / sizeof(*writers); i++) {
            const char *at = find_call(statement, writers[i]);
            if (!at || !matches(at, "%[-+ #0-9.*]*[lL]?[eEfFgGaA]"))
                continue;
            calls_seen++;
            cr_expect(may_be(file, "%"), "%s: %s() writes a number by the program's locale: %.80s",
                      file, writers[i], at);
        }
}

static void check_file(const char *path, bool library) {
    const char *file = path + strlen(QUERN_SOURCE_DIR) + 1, *dot = strrchr(file, '.');
    if (!dot || (strcmp(dot, ".c") != 0 && strcmp(dot, ".h") != 0 && strcmp(dot, ".cu") != 0))
        return;
    char *code = read_code(path);
    if (library) {
        check_names(file, code);
        check_numbers(file, code);
    } else {
        cr_expect_null(find_call(code, "setlocale"), "%s: programs set no locale", file);
    }
    free(code);
}

Test(locale_calls, are_in_scopes) {
    static const struct {
        const char *folder;
        bool library;
    } rooms[] = {{"core", true},
                 {"kernels", true},
                 {"backends", true},
                 {"examples", false},
                 {"benchmarks", false}};
    for (size_t i = 0; i < sizeof(rooms) / sizeof(*rooms); i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", QUERN_SOURCE_DIR, rooms[i].folder);
        FTS *walk = fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        cr_assert_not_null(walk);
        for (FTSENT *entry; (entry = fts_read(walk));)
            if (entry->fts_info == FTS_F && !strstr(entry->fts_path, "/include/"))
                check_file(entry->fts_path, rooms[i].library);
        fts_close(walk);
    }
    cr_expect_gt(calls_seen, 20, "only %d calls were seen", calls_seen);
}
