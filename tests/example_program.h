/* example_program.h: an example program run from outside, in the test's own folder.
 *
 * Define EXAMPLE_PROGRAM, its name, before including this. */
#ifndef EXAMPLE_PROGRAM_H
#define EXAMPLE_PROGRAM_H

#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <sys/wait.h>

#include "scratch.h"

extern char **environ;

/* Starts the program in the folder, with stdout and stderr going to the files "out" and "err". The
 * words are separated by blanks. */
static inline pid_t start(const char *words) {
    enum { MOST = 40 };
    char copy[1024], *argv[MOST + 1] = {EXAMPLE_PROGRAM}, *rest = NULL;
    snprintf(copy, sizeof(copy), "%s", words);
    int argc = 1;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        cr_assert_lt(argc, MOST);
        argv[argc++] = word;
    }
    const char *out = scratch_path("out"), *err = scratch_path("err");
    cr_assert_eq(chdir(scratch_folder), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const int flags = O_CREAT | O_WRONLY | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out, flags, 0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err, flags, 0600);
    pid_t child;
    cr_assert_eq(
        posix_spawn(&child, QUERN_BIN_DIR "/" EXAMPLE_PROGRAM, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

/* Exit code, or minus the signal that ended it. */
static inline int wait_for(pid_t child) {
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void show_errors(void) {
    size_t size;
    char *err = scratch_read(scratch_path("err"), &size);
    fputs(err, stderr);
    free(err);
}

static inline void run(const char *words) {
    int code = wait_for(start(words));
    if (code != 0)
        show_errors();
    cr_assert_eq(code, 0, "%s: exit code %d", words, code);
}

static inline void expect_in_file(const char *name, const char *words) {
    size_t size;
    char *text = scratch_read(scratch_path(name), &size);
    cr_expect(strstr(text, words), "\"%s\" is not in %s: %.1000s", words, name, text);
    free(text);
}

static inline void expect_same_file(const char *name, const char *other) {
    size_t a_size, b_size;
    char *a = scratch_read(scratch_path(name), &a_size);
    char *b = scratch_read(scratch_path(other), &b_size);
    cr_expect(a_size == b_size && memcmp(a, b, a_size) == 0, "%s and %s differ", name, other);
    free(a);
    free(b);
}

/* Runs a line of the shell in the folder, where "$P" is the program; the exit code. */
static inline int run_shell(const char *line) {
    cr_assert_eq(chdir(scratch_folder), 0);
    setenv("P", QUERN_BIN_DIR "/" EXAMPLE_PROGRAM, 1);
    const int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A model whose weights became NaN: `model` rewritten as `poisoned`, with these metadata keys. */
static inline void poison(const char *model, const char *poisoned, const char *const *keys) {
    enum { MOST = 64 };
    qn_tensor_file *file = qn_tensor_file_open(ctx, scratch_path(model));
    qn_named_tensor tensors[MOST];
    qn_metadata metadata[16];
    int count = qn_tensor_file_count(file), pairs = 0;
    cr_assert(count > 0 && count <= MOST, "%s", qn_context_message(ctx));
    for (int i = 0; i < count; i++) {
        const qn_tensor_entry entry = qn_tensor_file_entry(file, i);
        qn_tensor *tensor = qn_zeros(ctx, entry.dtype, entry.shape);
        cr_assert_eq(qn_tensor_file_read(file, entry.name, tensor), QN_OK);
        if (entry.dtype == QN_F32)
            qn_fill(tensor, NAN);
        tensors[i] = (qn_named_tensor){.name = entry.name, .tensor = tensor};
    }
    for (; keys[pairs]; pairs++)
        metadata[pairs] = (qn_metadata){keys[pairs], qn_tensor_file_metadata(file, keys[pairs])};
    cr_assert_eq(qn_tensors_write(ctx, scratch_path(poisoned), tensors, count, metadata, pairs),
                 QN_OK, "%s", qn_context_message(ctx));
    qn_tensor_file_free(file);
}

/* The program refuses: exit code 2, nothing on stdout, one line on stderr with these words. */
static inline void expect_refused(const char *command, const char *words) {
    static const char name[] = EXAMPLE_PROGRAM ": ";
    cr_expect_eq(wait_for(start(command)), 2, "%s", command);
    size_t size;
    char *text = scratch_read(scratch_path("err"), &size);
    const char *newline = strchr(text, '\n');
    cr_expect(newline && newline == text + size - 1, "%s: not one line: %s", command, text);
    cr_expect_eq(strncmp(text, name, sizeof(name) - 1), 0, "%s: %s", command, text);
    cr_expect(strstr(text, words), "%s: \"%s\" is not in %s", command, words, text);
    free(text);
    text = scratch_read(scratch_path("out"), &size);
    cr_expect_eq(size, 0, "%s: %s", command, text);
    free(text);
}

#endif
