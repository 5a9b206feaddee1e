/* test_allocation.c: programs in which an allocation fails, one after the other, or all from one
 * on: each ends with "out of memory", one line and exit code 1, or gives what it would have given.
 *
 * A sample of the allocations is taken; with QUERN_TEST_LONG set, each of them. */
#define _XOPEN_SOURCE 700 /* for nftw() */
#include <ctype.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "scratch.h"

#ifdef __SANITIZE_ADDRESS__
enum { SAMPLES = 4 }; /* programs take long to start there */
#else
enum { SAMPLES = 30 };
#endif
enum { FIRST = 4 }; /* of the command line, which are all taken */
enum { MOST_WORDS = 40, MOST_SECONDS = 100, TEXT = 1 << 16 };

static char inputs[160]; /* the folder of what programs read; they write to the folder itself */

/* ---- data ------------------------------------------------------------------------------------ */

enum { SIDE = 28, CLASSES = 3, TRAIN = 20, TEST = 8, DAYS = 60 };

static FILE *make_file(const char *name) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", inputs, name);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s", path);
    return file;
}

static void put_number(FILE *file, int value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        putc(value >> shift & 0xff, file);
}

/* Images of MNIST's layout; one of class c has a bright row 2 c + 1. */
static void write_images(const char *images, const char *labels, int count) {
    FILE *x = make_file(images), *y = make_file(labels);
    put_number(x, 0x803);
    put_number(y, 0x801);
    const int sizes[] = {count, SIDE, SIDE};
    for (int i = 0; i < 3; i++)
        put_number(x, sizes[i]);
    put_number(y, count);
    for (int i = 0; i < count; i++) {
        putc(i % CLASSES, y);
        for (int at = 0; at < SIDE * SIDE; at++)
            putc(at / SIDE == 2 * (i % CLASSES) + 1 ? 230 : (7 * i + 13 * at) % 60, x);
    }
    fclose(x);
    fclose(y);
}

static void write_texts(const char *name, int count) {
    static const char *const words[2][4] = {{"good", "fine", "nice", "great"},
                                            {"bad", "poor", "awful", "dull"}};
    FILE *file = make_file(name);
    for (int i = 0; i < count; i++)
        fprintf(file, "%s,\"%s %s, %s caf\xc3\xa9\"\n", i % 2 ? "neg" : "pos", words[i % 2][i % 4],
                words[i % 2][i / 2 % 4], words[i % 2][i / 3 % 4]);
    fclose(file);
}

/* The same file once more, as gzip. */
static void pack(const char *name) {
    char path[256];
    size_t size;
    snprintf(path, sizeof(path), "%s/%s", inputs, name);
    char *data = scratch_read(path, &size);
    snprintf(path, sizeof(path), "%s/%s.gz", inputs, name);
    gzFile file = gzopen(path, "wb");
    cr_assert(file && gzwrite(file, data, (unsigned)size) == (int)size && gzclose(file) == Z_OK);
    free(data);
}

static void write_series(void) {
    FILE *wide = make_file("wide.csv"), *items = make_file("items.csv");
    fputs("date,a,b\n", wide);
    fputs("item,date,value\n", items);
    for (int day = 0; day < DAYS; day++) {
        const int month = day / 28 + 1, date = day % 28 + 1;
        fprintf(wide, "2021-%02d-%02d,%d.5,%d\n", month, date, day % 7, 3 * day % 5);
        for (int item = 0; item < 2; item++)
            fprintf(items, "%d,2021-%02d-%02d,%d\n", item, month, date, (day + item) % 7);
    }
    fclose(wide);
    fclose(items);
}

static void write_small_files(void) {
    FILE *file = make_file("lines");
    fputs("good fine caf\xc3\xa9\nbad poor\n", file);
    fclose(file);
    file = make_file("vectors");
    fputs("good 1 0\nbad 0 1\n", file);
    fclose(file);
    file = make_file("limits.json");
    fputs("{\"limits\": [{\"device\": \"cpu\", \"threads\": 1, \"fma_gflops\": 90, "
          "\"sgemm_gflops\": 80, \"copy_gbs\": 25}]}",
          file);
    fclose(file);
}

/* ---- files of a run -------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *at) {
    (void)info;
    (void)flag;
    return at->level > 0 ? remove(path) : 0;
}

/* Empties a folder. */
static void empty(const char *folder) { nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

/* A file of the folder as text, to be freed; without numbers, since times are among them, unless
 * `exact`. NULL where it is not there. */
static char *read_file(const char *name, bool exact, size_t *size) {
    size_t kept = 0;
    const char *path = scratch_path(name);
    if (access(path, R_OK) != 0)
        return NULL;
    char *text = scratch_read(path, size);
    for (size_t i = 0; i < *size && !exact; i++)
        if (!isdigit((unsigned char)text[i]) && !strchr("+-.e", text[i]))
            text[kept++] = text[i];
    if (!exact)
        text[ *size = kept] = '\0';
    return text;
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* What is run, what it needs to have been run before, and what it writes. */
typedef struct program_case {
    const char *words, *before; /* a name that begins with @ is one of the folder of inputs */
    const char *exact;          /* a file of the folder that is the same in each run */
    bool measures;              /* the rest differs each time */
} program_case;

/* A run that has ended. */
typedef struct outcome {
    int code; /* or minus the signal */
    bool failed;
    long asked;
    char *out, *log, *page, *exact, *report;
    size_t exact_size;
    char err[4096];
} outcome;

static void free_outcome(outcome *o) {
    free(o->out);
    free(o->log);
    free(o->page);
    free(o->exact);
    free(o->report);
}

/* In the child: becomes the program. */
static void be_program(const char *words, const char *fails) {
    char copy[1024], *argv[MOST_WORDS + 1] = {NULL}, *rest = NULL, program[512];
    static char paths[MOST_WORDS][256];
    int argc = 0;
    snprintf(copy, sizeof(copy), "%s", words);
    for (char *word = strtok_r(copy, " ", &rest); word && argc < MOST_WORDS;
         word = strtok_r(NULL, " ", &rest)) {
        snprintf(paths[argc], sizeof(paths[0]), "%s/%s", inputs, word + 1);
        argv[argc] = *word == '@' ? paths[argc] : word;
        argc++;
    }
    if (fails) {
        setenv("QUERN_FAIL_ALLOCATION", fails, 1);
        setenv("QUERN_FAIL_REPORT", scratch_path("report"), 1);
        setenv("LD_PRELOAD", QUERN_BIN_DIR "/allocation/failing_allocation.so", 1);
    }
    snprintf(program, sizeof(program), QUERN_BIN_DIR "/%s", argv[0]);
    const int flags = O_CREAT | O_WRONLY | O_TRUNC;
    if (chdir(scratch_folder) != 0 || dup2(open("/dev/null", O_RDONLY), STDIN_FILENO) < 0 ||
        dup2(open("out", flags, 0600), STDOUT_FILENO) < 0 ||
        dup2(open("err", flags, 0600), STDERR_FILENO) < 0)
        _exit(126);
    alarm(MOST_SECONDS); /* a hang ends by SIGALRM */
    execv(program, argv);
    _exit(127);
}

/* A sanitizer's report is none of the programs' exit codes, and it takes the shim first. */
static void prepare_sanitizer(void) {
    char options[1024];
    const char *before = getenv("ASAN_OPTIONS");
    snprintf(options, sizeof(options), "%s:exitcode=99:verify_asan_link_order=0",
             before ? before : "");
    setenv("ASAN_OPTIONS", options, 1);
}

/* Runs in the folder, which is emptied before. `fails` as QUERN_FAIL_ALLOCATION has it, or NULL. */
static outcome run(const program_case *c, const char *words, const char *fails) {
    outcome o = {.code = 0};
    size_t size;
    int status = 0;
    empty(scratch_folder);
    const pid_t child = fork();
    if (child == 0)
        be_program(words, fails);
    cr_assert(child > 0 && waitpid(child, &status, 0) == child);
    o.code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    o.report = read_file("report", true, &size);
    o.failed = o.report && strncmp(o.report, "failed", 6) == 0;
    const char *asked = o.report ? strstr(o.report, "asked for ") : NULL;
    o.asked = asked ? atol(asked + strlen("asked for ")) : 0;
    char *err = read_file("err", true, &size);
    snprintf(o.err, sizeof(o.err), "%s", err ? err : "");
    free(err);
    o.out = read_file("out", false, &size);
    o.log = read_file("log", false, &size);
    o.page = read_file("page.html", false, &size);
    o.exact = c->exact ? read_file(c->exact, true, &o.exact_size) : NULL;
    return o;
}

/* ---- what a run must come to ----------------------------------------------------------------- */

static int lines_of(const char *text) {
    int lines = 0;
    for (; (text = strchr(text, '\n')); text++)
        lines++;
    return lines;
}

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* What is wrong with a run in which memory gave out; NULL if nothing is. */
static const char *find_fault(const program_case *c, const outcome *o, const outcome *whole) {
    static const char out_of_memory[] = "out of memory";
    if (o->code < 0)
        return o->code == -SIGALRM ? "it hangs" : "it crashes";
    if (o->code == 1) {
        if (lines_of(o->err) > lines_of(whole->err) + 1)
            return "it ends with more than one line";
        const char *last = o->err;
        for (const char *next; (next = strchr(last, '\n')) && next[1];)
            last = next + 1;
        return strstr(last, out_of_memory) ? NULL : "its last line does not say out of memory";
    }
    if (o->code != 0)
        return "its exit code is not 1";
    if (!same(o->out, whole->out) && !c->measures)
        return "nobody noticed, and its output is another";
    if (!same(o->log, whole->log) || !same(o->page, whole->page))
        return "nobody noticed, and its log or page is another";
    if (o->exact_size != whole->exact_size ||
        (o->exact && memcmp(o->exact, whole->exact, o->exact_size) != 0))
        return "nobody noticed, and what it saved is another";
    return NULL;
}

/* Whether a run left a file that it was writing to beside the one that it was to become. */
static bool leaves_temporary(void) {
    bool found = false;
    DIR *folder = opendir(scratch_folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        found |= strstr(entry->d_name, ".tmp") != NULL;
    if (folder)
        closedir(folder);
    return found;
}

/* Runs with allocation n failing, and with `all` those after it, too. */
static bool fail_one(const program_case *c, const outcome *whole, long n, bool all) {
    char fails[32];
    snprintf(fails, sizeof(fails), "%ld%s", n, all ? "+" : "");
    outcome o = run(c, c->words, fails);
    const char *fault = o.failed ? find_fault(c, &o, whole) : NULL;
    if (!fault && o.code >= 0 && leaves_temporary())
        fault = "it leaves a temporary file";
    cr_expect_null(fault, "%s\nallocation %s: %s (exit code %d)\n%s%s", c->words, fails, fault,
                   o.code, o.err, o.report ? o.report : "");
    const bool failed = o.failed;
    free_outcome(&o);
    return failed;
}

/* Samples, or in the long form all, of a program's allocations. */
static void fail_allocations(const program_case *c) {
    const bool all = getenv("QUERN_TEST_LONG");
    if (c->before) {
        outcome before = run(c, c->before, NULL);
        cr_assert_eq(before.code, 0, "%s: %s", c->before, before.err);
        free_outcome(&before);
    }
    outcome whole = run(c, c->words, "1000000000");
    cr_assert_eq(whole.code, 0, "%s: %d: %s", c->words, whole.code, whole.err);
    cr_assert_gt(whole.asked, 50, "%s: only %ld allocations seen: is the allocator in its place?",
                 c->words, whole.asked);
    const long stride = all ? 1 : whole.asked / SAMPLES + 1;
    int failed = 0, taken = 0;
    for (long n = 0; n < whole.asked; n += n < FIRST ? 1 : stride, taken++) {
        failed += fail_one(c, &whole, n, taken % 2);
        if (all)
            failed += fail_one(c, &whole, n, taken % 2 == 0);
    }
    cr_expect_gt(failed, taken / 2, "%s: only %d allocations failed", c->words, failed);
    free_outcome(&whole);
}

static void fail_each(const program_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++)
        fail_allocations(&cases[i]);
}

static void open_folders(void) {
    scratch_open();
    snprintf(inputs, sizeof(inputs), "%s-inputs", scratch_folder);
    cr_assert_eq(mkdir(inputs, 0700), 0);
    write_images("train-images-idx3-ubyte", "train-labels-idx1-ubyte", TRAIN);
    write_images("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", TEST);
    write_texts("set.train.csv", 24);
    write_texts("set.test.csv", 8);
    pack("set.test.csv");
    pack("t10k-images-idx3-ubyte");
    write_series();
    write_small_files();
    prepare_sanitizer();
}

static void close_folders(void) {
    empty(inputs);
    rmdir(inputs);
    empty(scratch_folder);
    scratch_close();
}

TestSuite(allocation, .init = open_folders, .fini = close_folders, .timeout = 36000);

/* ---- programs -------------------------------------------------------------------------------- */

#define FAIL_EACH(cases) fail_each(cases, sizeof(cases) / sizeof(*(cases)))
#define MNIST "mnist train --data @ --epochs 1 --batch-size 10 --threads 1 --quiet "
#define TEXTS "text_classification train --train @set.train.csv --epochs 1 --threads 1 --quiet "
#define WIDE "forecasting train --data @wide.csv --look-back 10 --horizon 3 --epochs 1 --quiet "
#define ITEMS "forecasting train --data @items.csv --look-back 6 --horizon 3 --epochs 1 --quiet "
#if QUERN_TENSORBOARD
#define BOARD " --tensorboard board"
#else
#define BOARD ""
#endif
#define MEASURE "--threads 1 --seconds 0.001 --windows 1 "
#define IMAGE QUERN_SOURCE_DIR "/tests/fuzz/corpus/fuzz_image/"

Test(allocation, of_a_training_on_images) {
    static const program_case cases[] = {
        {.words = MNIST "--model mlp --save m --log log --report page.html --checkpoint c" BOARD,
         .exact = "m"},
        {.words = MNIST "--model lenet --save m", .exact = "m"}};
    FAIL_EACH(cases);
}

Test(allocation, of_a_training_that_goes_on) {
    static const program_case cases[] = {{.words = MNIST "--model mlp --resume @c --save m",
                                          .before = MNIST "--model mlp --save @m --checkpoint @c",
                                          .exact = "m"}};
    FAIL_EACH(cases);
}

Test(allocation, of_a_model_of_images_in_use) {
    static const program_case cases[] = {
        {.words = "mnist evaluate --data @ --load @m --threads 1 --json",
         .before = MNIST "--model mlp --save @m --checkpoint @c"},
        {.words = "mnist predict @t10k-images-idx3-ubyte.gz " IMAGE "grey.png " IMAGE "binary.pgm "
                  "--load @m --threads 1"},
        {.words = "mnist --verify @c"}};
    FAIL_EACH(cases);
}

Test(allocation, of_a_training_on_texts) {
    static const program_case cases[] = {
        {.words = TEXTS "--test @set.test.csv --save m --log log --report page.html", .exact = "m"},
        {.words = TEXTS "--holdout 0.3 --vectors @vectors --width 2 --model lstm --save m",
         .exact = "m"},
        {.words = TEXTS "--folds 2 --log log"}};
    FAIL_EACH(cases);
}

Test(allocation, of_a_model_of_texts_in_use) {
    static const program_case cases[] = {
        {.words = "text_classification evaluate --test @set.test.csv.gz --load @m --json",
         .before = TEXTS "--test @set.test.csv --save @m --checkpoint @c"},
        {.words = "text_classification predict @lines --load @m --threads 1"}};
    FAIL_EACH(cases);
}

Test(allocation, of_a_training_on_series) {
    static const program_case cases[] = {
        {.words = WIDE "--model nlinear --threads 1 --save m --log log --report page.html",
         .exact = "m"},
        {.words = ITEMS "--model deepar --samples 5 --threads 1 --save m", .exact = "m"}};
    FAIL_EACH(cases);
}

Test(allocation, of_a_model_of_series_in_use) {
    static const program_case cases[] = {
        {.words = "forecasting evaluate --data @wide.csv --load @m --threads 1 --json",
         .before = WIDE "--model nlinear --threads 1 --save @m --checkpoint @c"},
        {.words = "forecasting predict @wide.csv --load @m --threads 1 --output forecast",
         .exact = "forecast"}};
    FAIL_EACH(cases);
}

Test(allocation, of_the_benchmark) {
    static const program_case cases[] = {
        {.words = "quern-bench ops --op softmax_outer " MEASURE
                  "--limits @limits.json --json b --html h --baseline @b",
         .before = "quern-bench ops --op softmax_outer " MEASURE "--limits @limits.json --json @b",
         .measures = true},
        {.words = "quern-bench compare --model mlp --devices cpu --epochs 1 --threads 1 "
                  "--batch-size 10 --data @ --json b --price cpu=1",
         .measures = true},
        {.words = "quern-bench measure-train --model mlp " MEASURE
                  "--data @ --batch-size 10 --roof 90,25",
         .measures = true}};
    FAIL_EACH(cases);
}
