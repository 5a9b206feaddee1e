/* test_program_streams.c: every command of every program with a standard output that is full,
 * closed or a broken pipe: a line on stderr and a failure, never silence, and no signal; what was
 * to be saved is there. Without a standard error they work as ever. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "scratch.h"

/* ---- what the programs work on ------------------------------------------------------------- */

enum { IMAGES = 40, SIDE = 28 };

static void write_images(const char *part, const char *kind, int rank) {
    static unsigned char bytes[16 + IMAGES * SIDE * SIDE];
    const unsigned char head[] = {0, 0, 8,   (unsigned char)rank, 0, 0, 0, IMAGES, 0, 0, 0, SIDE, 0,
                                  0, 0, SIDE};
    char name[64];
    const size_t start = 4 + 4 * (size_t)rank;
    const size_t size = start + (rank == 3 ? IMAGES * SIDE * SIDE : IMAGES);
    for (size_t i = start; i < size; i++)
        bytes[i] = (unsigned char)(rank == 3 ? i * 37 % 251 : i % 10);
    memcpy(bytes, head, start);
    snprintf(name, sizeof(name), "%s-%s-idx%d-ubyte", part, kind, rank);
    scratch_write(name, bytes, size);
}

static void write_data(void) {
    static char text[1 << 14];
    size_t used = 0;
    for (const char *part = "train"; part; part = *part == 't' && part[1] == 'r' ? "t10k" : NULL) {
        write_images(part, "images", 3);
        write_images(part, "labels", 1);
    }
    for (int i = 0; i < 60; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "__label__%s %s number %d\n",
                                 i % 2 ? "even" : "odd", i % 2 ? "two four" : "one three", i);
    scratch_write("texts", text, used);
    used = (size_t)snprintf(text, sizeof(text), "date,sales\n");
    for (int i = 0; i < 60; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "2020-%02d-%02d,%d\n",
                                 1 + i / 28, 1 + i % 28, i * 7 % 11);
    scratch_write("series.csv", text, used);
}

/* ---- running ------------------------------------------------------------------------------- */

static int open_broken_pipe(void) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    return ends[1];
}

typedef enum fault { NONE, FULL, CLOSED, BROKEN, FAULTS } fault;

static void break_stream(int fd, fault what) {
    close(fd);
    if (what == FULL)
        open("/dev/full", O_WRONLY);
    else if (what == BROKEN)
        dup2(open_broken_pipe(), fd);
}

/* Runs a command in the folder; the exit code, or minus the signal that ended it. */
static int run(const char *command, fault output, fault error) {
    char words[512], *argv[40] = {NULL}, *rest = NULL, path[600];
    int argc = 0, status = 0;
    snprintf(words, sizeof(words), "%s", command);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    snprintf(path, sizeof(path), "%s/%s", QUERN_BIN_DIR, argv[0]);
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
        dup2(open("out", O_CREAT | O_WRONLY | O_TRUNC, 0600), STDOUT_FILENO);
        dup2(open("err", O_CREAT | O_WRONLY | O_TRUNC, 0600), STDERR_FILENO);
        if (output != NONE)
            break_stream(STDOUT_FILENO, output);
        if (error != NONE)
            break_stream(STDERR_FILENO, error);
        execv(path, argv);
        _exit(126);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* The last line on stderr is the program's and tells that it could not write. */
static void expect_line(const char *command, fault output) {
    size_t size;
    char *text = scratch_read(scratch_path("err"), &size), *last = text;
    for (char *c = text; *c; c++)
        if (*c == '\n' && c[1])
            last = c + 1;
    const size_t name = strcspn(command, " ");
    cr_expect(strncmp(last, command, name) == 0 && strstr(last, ": cannot write"),
              "%s, fault %d: %s", command, (int)output, text);
    free(text);
}

#define OF_MNIST "--device cpu --threads 1"
#define OF_TEXT "--device cpu --threads 1 --format fasttext"
#define OF_SERIES "--device cpu --threads 1"
#define OF_BENCH "-o relu -w 1 -s 0.001 -t 1 -L limits.json"

static const char *const commands[] = {
    "mnist train --data . --model mlp --epochs 1 --save mnist.st " OF_MNIST,
    "text_classification train --train texts --test texts --model fasttext --epochs 1 "
    "--save text.st " OF_TEXT,
    "forecasting train --data series.csv --epochs 1 --horizon 3 --look-back 6 "
    "--save series.st " OF_SERIES,
    "mnist evaluate --data . --load mnist.st " OF_MNIST,
    "mnist evaluate --data . --load mnist.st --json " OF_MNIST,
    "mnist predict --load mnist.st t10k-images-idx3-ubyte " OF_MNIST,
    "mnist predict --load mnist.st --json t10k-images-idx3-ubyte " OF_MNIST,
    "mnist --verify mnist.st",
    "mnist --help",
    "mnist --version",
    "text_classification train --train texts --model fasttext --folds 2 --epochs 1 " OF_TEXT,
    "text_classification evaluate --test texts --load text.st " OF_TEXT,
    "text_classification evaluate --test texts --load text.st --json " OF_TEXT,
    "text_classification predict --load text.st texts --device cpu",
    "text_classification predict --load text.st --json texts --device cpu",
    "text_classification --verify text.st --json",
    "text_classification --help",
    "forecasting evaluate --data series.csv --load series.st " OF_SERIES,
    "forecasting evaluate --data series.csv --load series.st --json " OF_SERIES,
    "forecasting predict --load series.st series.csv " OF_SERIES,
    "forecasting predict --load series.st --json series.csv " OF_SERIES,
    "forecasting predict --load series.st --output /dev/stdout series.csv " OF_SERIES,
    "forecasting --version",
    "quern-bench ops " OF_BENCH,
    "quern-bench ops --json=- " OF_BENCH,
    "quern-bench --help",
};

static bool saves(const char *command, char name[32]) {
    const char *at = strstr(command, "--save ");
    return at && sscanf(at, "--save %31s", name) == 1;
}

static void open_programs(void) {
    scratch_open();
    cr_assert_eq(chdir(scratch_folder), 0);
    write_data();
    static const char limits[] = "{\"limits\": [{\"device\": \"cpu\", \"threads\": 1}]}";
    scratch_write("limits.json", limits, sizeof(limits) - 1);
}

TestSuite(program_streams, .init = open_programs, .fini = scratch_close, .timeout = 300);

Test(program_streams, nothing_is_lost_in_silence) {
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        char name[32];
        const bool saving = saves(commands[i], name);
        for (fault output = FULL; output < FAULTS; output++) {
            if (saving)
                remove(name);
            const int code = run(commands[i], output, NONE);
            cr_expect(code == 1 || code == 2, "%s, fault %d: %d", commands[i], (int)output, code);
            expect_line(commands[i], output);
            cr_expect(!saving || access(name, R_OK) == 0, "%s: nothing saved", commands[i]);
        }
        cr_expect_eq(run(commands[i], NONE, NONE), 0, "%s", commands[i]);
    }
}

Test(program_streams, without_a_standard_error_programs_work) {
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        cr_expect_eq(run(commands[i], NONE, i % 2 ? CLOSED : BROKEN), 0, "%s", commands[i]);
}

/* As many as a reader wants: nothing is computed for one that is gone. */
Test(program_streams, an_endless_input_ends_with_its_reader) {
    cr_assert_eq(run(commands[1], NONE, NONE), 0);
    const char *line = "yes 'one two three' | timeout 60 " QUERN_BIN_DIR
                       "/text_classification predict --load text.st - 2>err | head -1 >out";
    cr_expect_eq(system(line), 0);
    expect_line("text_classification", BROKEN);
}
