/* test_house.c: the tree keeps its own rules: who includes whom, names,
 * lengths, a README a room. */
#include <criterion/criterion.h>
#include <fnmatch.h>
#include <fts.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILES = 2000, MAX_LINES = 600 };

static const char *const rooms[] = {"core",     "kernels",    "backends",
                                    "examples", "benchmarks", "tests"};

/* Every file under the rooms, as a path from the source folder. */
static char *files[MAX_FILES];
static int file_count;

static int by_name(const FTSENT **a, const FTSENT **b) {
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void open_house(void) {
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", QUERN_SOURCE_DIR, rooms[i]);
        FTS *walk = fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
        cr_assert_not_null(walk, "cannot walk %s", path);
        for (FTSENT *entry; (entry = fts_read(walk));)
            if (entry->fts_info == FTS_F && file_count < MAX_FILES)
                files[file_count++] = strdup(entry->fts_path + strlen(QUERN_SOURCE_DIR) + 1);
        fts_close(walk);
    }
    cr_assert_gt(file_count, 20, "only %d files found", file_count);
    cr_assert_lt(file_count, MAX_FILES, "more files than this test has room for");
}

static void close_house(void) {
    while (file_count > 0)
        free(files[--file_count]);
}

TestSuite(house, .init = open_house, .fini = close_house);

static FILE *open_source(const char *path) {
    char full[4096];
    snprintf(full, sizeof(full), "%s/%s", QUERN_SOURCE_DIR, path);
    FILE *file = fopen(full, "r");
    cr_assert_not_null(file, "cannot open %s", path);
    return file;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_code(const char *path) {
    return ends_with(path, ".c") || ends_with(path, ".h") || ends_with(path, ".cu") ||
           ends_with(path, ".cpp");
}

static void folder_of(const char *path, char *out, size_t size) {
    snprintf(out, size, "%.*s", (int)(base_name(path) - path - 1), path);
}

static regex_t pattern_of(const char *text) {
    regex_t pattern;
    cr_assert_eq(regcomp(&pattern, text, REG_EXTENDED | REG_NOSUB), 0, "pattern %s", text);
    return pattern;
}

static bool found(const regex_t *pattern, const char *text) {
    return regexec(pattern, text, 0, NULL, 0) == 0;
}

static bool matches(const char *text, const char *pattern) {
    regex_t compiled = pattern_of(pattern);
    bool match = found(&compiled, text);
    regfree(&compiled);
    return match;
}

/* Reports a fault and goes on, so that one run shows all of them. */
#define FAULT(...) cr_expect(false, __VA_ARGS__)

/** Whether a name is in a list, whose entries may end with a star for any ending. */
static bool one_of(const char *name, const char *const *allowed) {
    for (; *allowed; allowed++)
        if (fnmatch(*allowed, name, 0) == 0)
            return true;
    return false;
}

static bool file_exists(const char *folder, const char *name) {
    char path[8192];
    snprintf(path, sizeof(path), "%s/%s/%s", QUERN_SOURCE_DIR, folder, name);
    return access(path, F_OK) == 0;
}

/* The headers of ours that a folder may include besides those of its own. */
static const char *const *headers_for(const char *path) {
    static const char *const headers[] = {"quern/*", NULL};
    static const char *const cpu[] = {"quern_backend.h", "cpu_threads.h", "cpu_numbers.h", NULL};
    static const char *const backend[] = {"quern_backend.h", NULL};
    static const char *const cuda[] = {"quern_backend.h", "cuda_queue.h",     "cuda_plans.h",
                                       "cuda_bfloat16.h", "cudasim_device.h", NULL};
    static const char *const base[] = {"internal.h", "quern.h", "quern_backend.h", NULL};
    static const char *const data[] = {"data/*", "quern.h", NULL};
    static const char *const user[] = {"quern.h", NULL};
    static const char *const bench[] = {
        "quern.h",         "op_cases.def",        "op_in_place.h",      "mnist_networks.h",
        "text_networks.h", "forecast_networks.h", "standard_streams.h", NULL};
    if (matches(path, "^(kernels/(cuda|cublas|cudnn)|backends/cuda)/"))
        return cuda;
    if (matches(path, "^kernels/(simd|amx|openblas)/"))
        return cpu;
    if (starts_with(path, "kernels/") || starts_with(path, "backends/"))
        return backend;
    if (starts_with(path, "core/include/"))
        return headers;
    if (matches(path, "^core/([^/]*|(ops|plan|cmake)/[^/]*)$"))
        return base;
    if (starts_with(path, "core/data/"))
        return data;
    return starts_with(path, "benchmarks/") ? bench : user;
}

/* Whether some file of the tree ends with this path: <zlib.h> and <sys/random.h> are nobody's here,
 * <quern.h> and "quern/random.h" are ours. */
static bool is_ours(const char *name) {
    char end[1100];
    snprintf(end, sizeof(end), "/%s", name);
    for (int i = 0; i < file_count; i++)
        if (ends_with(files[i], end))
            return true;
    return false;
}

static void check_include(const char *path, int line, const char *name) {
    char folder[4096];
    folder_of(path, folder, sizeof(folder));
    if (!is_ours(name) || one_of(name, headers_for(path)))
        return;
    bool beside = !strchr(name, '/') && file_exists(folder, name);
    bool common = starts_with(path, "examples/") && file_exists("examples/common", name);
    if (!beside && !common)
        FAULT("%s:%d: may not include %s", path, line, name);
}

Test(house, includes) {
    for (int i = 0; i < file_count; i++) {
        if (!is_code(files[i]) || starts_with(files[i], "tests/"))
            continue;
        FILE *file = open_source(files[i]);
        char text[1024], name[1024];
        for (int line = 1; fgets(text, sizeof(text), file); line++)
            if (sscanf(text, " # include %*[<\"]%1023[^>\"]", name) == 1)
                check_include(files[i], line, name);
        fclose(file);
    }
}

/* Names by room; the first pattern that fits the path decides what the name must look like. */
static const struct {
    const char *where, *name;
} names[] = {
    {"^tests/fuzz/[^/]*\\.c$", "^fuzz_[a-z0-9_]+\\.[ch]$"},
    {"^examples/lessons/[^/]*\\.c$", "^[0-9]+_[a-z0-9_]+\\.c$"},
    {"^kernels/cuda/[^/]*\\.cu$", "^[a-z0-9_]+_cuda\\.cu$"},
    {"\\.cu$", "^planted_[a-z0-9_]+\\.cu$"},
    {"\\.cpp$", "^[a-z0-9_]+\\.cpp$"},
    {"\\.(c|h|def)$", "^[a-z0-9_]+\\.(c|h|def)$"},
};

Test(house, file_names) {
    for (int i = 0; i < file_count; i++) {
        for (size_t rule = 0; rule < sizeof(names) / sizeof(names[0]); rule++) {
            if (!matches(files[i], names[rule].where))
                continue;
            if (!matches(base_name(files[i]), names[rule].name))
                FAULT("%s: its name should look like %s", files[i], names[rule].name);
            break;
        }
    }
}

/* A kernel of operation `op` by provider `p` is defined in kernels/p/op_p.c (.cu), with its
 * gradient. */
Test(house, kernels_lie_where_their_names_say) {
    for (int i = 0; i < file_count; i++) {
        char provider[64], op[128] = "", text[1024], expected[256];
        bool is_cuda = ends_with(files[i], ".cu");
        if (sscanf(files[i], "kernels/%63[^/]/", provider) != 1 ||
            (!is_cuda && !ends_with(files[i], ".c")))
            continue;
        FILE *file = open_source(files[i]);
        while (!*op && fgets(text, sizeof(text), file))
            if (sscanf(text, "const qn_kernel SIMD_KERNEL(%127[a-z0-9_])", op) != 1)
                sscanf(text, "const qn_kernel qnk_%*[a-z0-9]_%127[a-z0-9_]", op);
        fclose(file);
        snprintf(expected, sizeof(expected), "%s_%s.%s", op, provider, is_cuda ? "cu" : "c");
        if (*op && strcmp(base_name(files[i]), expected) != 0)
            FAULT("%s defines %s and should be called %s", files[i], op, expected);
    }
}

/* Operands beyond the second have names (operands.h), and so have the members of a kernel's row. */
Test(house, kernels_do_not_count_places) {
    for (int i = 0; i < file_count; i++) {
        if (!is_code(files[i]) || !starts_with(files[i], "kernels/"))
            continue;
        FILE *file = open_source(files[i]);
        char text[1024];
        for (int line = 1; fgets(text, sizeof(text), file); line++)
            if ((strstr(text, "call->") && matches(text, "call->(in|out)\\[[2-9]\\]")) ||
                (strstr(text, "qn_kernel)") && matches(text, "(^|\\{) *sizeof\\(qn_kernel\\),")))
                FAULT("%s:%d: a place by number: %s", files[i], line, text);
        fclose(file);
    }
}

Test(house, unique_names) {
    for (int i = 0; i < file_count; i++)
        for (int j = 0; j < i && is_code(files[i]); j++)
            if (strcmp(base_name(files[i]), base_name(files[j])) == 0)
                FAULT("%s and %s have one name", files[j], files[i]);
}

Test(house, lengths) {
    for (int i = 0; i < file_count; i++) {
        if (!is_code(files[i]))
            continue;
        FILE *file = open_source(files[i]);
        int lines = 0;
        for (int c; (c = getc(file)) != EOF;)
            lines += c == '\n';
        fclose(file);
        if (lines > MAX_LINES)
            FAULT("%s: %d lines, more than %d", files[i], lines, MAX_LINES);
    }
}

/* Frozen headers are what they were. */
static bool is_dialect_checked(const char *path) {
    return is_code(path) && !starts_with(path, "tests/plugins/abi/");
}

Test(house, no_braces_around_one_line) {
    regex_t opens = pattern_of("^ *(if|while|for) .*[{]\n$");
    regex_t nested = pattern_of("^ *(if|while|for|do|switch) ");
    regex_t single = pattern_of("^ [^{}]*;\n$"), closes = pattern_of("^ *}\n$");
    for (int i = 0; i < file_count; i++) {
        if (!is_dialect_checked(files[i]))
            continue;
        FILE *file = open_source(files[i]);
        char text[1024];
        int run = 0; /* lines of the pattern so far */
        for (int line = 1; fgets(text, sizeof(text), file); line++) {
            if (run == 2 && found(&closes, text))
                FAULT("%s:%d: braces around one line", files[i], line - 2);
            run = found(&opens, text)                                         ? 1
                  : run == 1 && found(&single, text) && !found(&nested, text) ? 2
                                                                              : 0;
        }
        fclose(file);
    }
    regfree(&opens), regfree(&nested), regfree(&single), regfree(&closes);
}

Test(house, statuses_are_compared) {
    regex_t boolean = pattern_of("(if|while) \\(!?([a-z]+->|[a-z]+\\.)?status( [|&]|\\)( [{])?\n)|"
                                 "[|&] !?([a-z]+->|[a-z]+\\.)?status( [|&]|\\))|"
                                 "(\\(|[|&] |= )!?qn_context_error\\([a-z>-]+, NULL\\)( [|&]|\\))");
    for (int i = 0; i < file_count; i++) {
        if (!is_dialect_checked(files[i]))
            continue;
        FILE *file = open_source(files[i]);
        char text[1024];
        for (int line = 1; fgets(text, sizeof(text), file); line++)
            if (found(&boolean, text))
                FAULT("%s:%d: a status is compared with QN_OK: %s", files[i], line, text);
        fclose(file);
    }
    regfree(&boolean);
}

Test(house, every_room_has_a_readme) {
    char folder[4096], last[4096] = "";
    for (int i = 0; i < file_count; i++) {
        folder_of(files[i], folder, sizeof(folder));
        if (strcmp(folder, last) != 0 && is_code(files[i]) && !file_exists(folder, "README.md")) {
            FAULT("%s has code and no README.md", folder);
            snprintf(last, sizeof(last), "%s", folder);
        }
    }
}

Test(house, no_unfinished_work) {
    for (int i = 0; i < file_count; i++) {
        if (!is_code(files[i]) || strcmp(files[i], "tests/test_house.c") == 0)
            continue;
        FILE *file = open_source(files[i]);
        char text[1024];
        for (int line = 1; fgets(text, sizeof(text), file); line++)
            if (strstr(text, "TODO") || strstr(text, "FIXME"))
                FAULT("%s:%d: unfinished: %s", files[i], line, text);
        fclose(file);
    }
}
