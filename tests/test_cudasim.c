/* test_cudasim.c: the simulated GPU reports the planted faults (cudasim/planted/), and nothing in
 * their twins. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MOST_OUTPUT = 8192 };

static const char plain[] = QUERN_BIN_DIR "/cudasim/planted_source",
                  checked[] = QUERN_BIN_DIR "/cudasim/planted_checked",
                  translated[] = QUERN_BIN_DIR "/cudasim/planted_ptx";

/* A fault, and words of its report with the checker and without; NULL where only the checker can
 * see it. */
typedef struct planted_fault {
    char name[32];
    char checked[64], plain[64];
} planted_fault;

static planted_fault faults[] = {
    {"read_past_end", "out of bounds: read of 4 bytes", ""},
    {"write_past_end", "out of bounds: write of 4 bytes", ""},
    {"use_after_free", "dangling pointer", "dangling pointer"},
    {"free_in_other_stream", "use after free", "wrong result"},
    {"double_free", "ALREADY FREED", "ALREADY FREED"},
    {"leak", "1 objects were not given back", "1 objects were not given back"},
    {"uninitialised_device", "never written: read of 4 bytes", "wrong result"},
    {"short_grid", "cudaMemcpy reads device memory that was never written", "nan"},
    {"half_written", "cudaMemcpy reads device memory that was never written", "nan"},
    {"misaligned_vector", "misaligned access: read of 16 bytes", "segmentation fault"},
    {"global_race", "data race on global memory", ""},
    {"mixed_atomics", "data race on global memory", ""},
    {"missing_barrier", "shared memory that this block has not written", "wrong result"},
    {"missing_barrier_forward", "data race on shared memory", ""},
    {"write_after_read", "data race on shared memory: write", "wrong result"},
    {"divergent_barrier", "divergent __syncthreads", "divergent __syncthreads"},
    {"exit_before_barrier", "200 threads wait at __syncthreads", "200 threads wait"},
    {"uninitialised_shared", "shared memory that this block has not written", "wrong result"},
    {"dynamic_shared_too_small", "out of bounds of dynamic shared memory", ""},
    {"shared_out_of_bounds", "shared memory that this block has not written", "wrong result"},
    {"shuffle_mask", "which have returned", "which have returned"},
    {"lane_not_in_mask", "does not name the calling lane", "does not name the calling lane"},
    {"shuffle_lines", "divergent warp operation", "divergent warp operation"},
    {"lanes_returned", "others of its warp wait", "others of its warp wait"},
    {"missing_syncwarp", "shared memory that this block has not written", "wrong result"},
    {"syncwarp_too_small", "shared memory that this block has not written", "wrong result"},
    {"block_too_large", "cudaErrorInvalidConfiguration", "cudaErrorInvalidConfiguration"},
    {"swallowed_error", "cudaMemcpy reads device memory that was never written", "nan"},
    {"host_dereference", "HOST CODE dereferences device allocation", "HOST CODE dereferences"},
    {"host_pointer_argument", "which is not device memory", "which is not device memory"},
    {"host_pointer_in_struct", "device code touches host memory", ""},
    {"wrong_direction", "cudaErrorInvalidValue", "cudaErrorInvalidValue"},
    {"copy_past_end", "cudaMemcpy of 1024 bytes", "cudaMemcpy of 1024 bytes"},
    {"missing_synchronize", "wrong result", "wrong result"},
    {"missing_event", "wrong result", "wrong result"},
    {"staging_reused", "wrong result", "wrong result"},
    {"synchronize_in_capture", "cudaErrorStreamCaptureInvalidated", "CaptureInvalidated"},
    {"allocate_in_capture", "cudaErrorStreamCaptureUnsupported", "CaptureUnsupported"},
    {"capture_not_joined", "cudaErrorStreamCaptureUnjoined", "CaptureUnjoined"},
    {"capture_not_isolated", "cudaErrorStreamCaptureIsolation", "CaptureIsolation"},
    {"graph_of_freed_memory", "use after free", "wrong result"},
    {"graph_copies_again", "wrong result", "wrong result"},
};
enum { FAULTS = sizeof(faults) / sizeof(faults[0]) };

/* Runs a program with up to two arguments; its exit code, and what it wrote to stderr. */
static int run(const char *program, const char *name, const char *how, char *output) {
    int ends[2], status = 0;
    pid_t child;
    char *argv[] = {(char *)program, (char *)name, (char *)how, NULL};
    posix_spawn_file_actions_t actions;
    cr_assert_eq(pipe(ends), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    cr_assert_eq(posix_spawn(&child, program, &actions, NULL, argv, environ), 0, "%s", program);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    size_t size = 0;
    for (ssize_t more; (more = read(ends[0], output + size, MOST_OUTPUT - 1 - size)) > 0;)
        size += (size_t)more;
    output[size] = '\0';
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect_report(const char *program, const char *name, const char *words) {
    char output[MOST_OUTPUT];
    int code = run(program, name, NULL, output);
    cr_expect(code == 86 || code == 1 || code == 3 || code == 4, "%s: exit code %d", name, code);
    cr_expect(strstr(output, words), "%s: \"%s\" is not in: %s", name, words, output);
}

ParameterizedTestParameters(cudasim, reports_what_is_planted) {
    return cr_make_param_array(planted_fault, faults, FAULTS);
}

ParameterizedTest(planted_fault *fault, cudasim, reports_what_is_planted) {
    expect_report(checked, fault->name, fault->checked);
    if (*fault->plain)
        expect_report(plain, fault->name, fault->plain);
}

ParameterizedTestParameters(cudasim, passes_what_is_correct) {
    return cr_make_param_array(planted_fault, faults, FAULTS);
}

ParameterizedTest(planted_fault *fault, cudasim, passes_what_is_correct) {
    static const char *const orders[] = {"forward", "reverse", "shuffled"};
    char output[MOST_OUTPUT];
    for (int i = 0; i < 3; i++) {
        setenv("CUDASIM_ORDER", orders[i], 1);
        int code = run(checked, fault->name, "correct", output);
        cr_expect_eq(code, 0, "%s, %s: %s", fault->name, orders[i], output);
    }
}

/* Words of a report on what nvcc made of a kernel; NULL where the fault is not seen. PTX does not
 * tell pointers from numbers, so a wrong one is reported when it is used. */
static const char *words_on_ptx(const planted_fault *fault) {
    if (strcmp(fault->name, "shuffle_lines") == 0)
        return NULL; /* nvcc counts all shuffles to one line of CUDA's header */
    if (strcmp(fault->name, "host_pointer_argument") == 0)
        return "device code touches host memory";
    if (strcmp(fault->name, "use_after_free") == 0)
        return "use after free";
    return fault->checked;
}

/* The same kernels as nvcc compiles them, translated from its PTX. */
Test(cudasim, what_nvcc_made_of_them_is_reported_too, .timeout = 120) {
    char output[MOST_OUTPUT];
    if (access(translated, X_OK) != 0)
        cr_skip_test("not built (target cudasim_ptx, with nvcc)");
    for (int i = 0; i < FAULTS; i++) {
        const char *words = words_on_ptx(&faults[i]);
        if (words)
            expect_report(translated, faults[i].name, words);
        cr_expect_eq(run(translated, faults[i].name, "correct", output), 0, "%s: %s",
                     faults[i].name, output);
    }
}

/* Without the barrier the result is right when threads run forward: another order shows the fault
 * even without the checker. */
Test(cudasim, order_of_threads) {
    char output[MOST_OUTPUT];
    cr_expect_eq(run(plain, "missing_barrier_forward", NULL, output), 0, "%s", output);
    setenv("CUDASIM_ORDER", "reverse", 1);
    expect_report(plain, "missing_barrier_forward", "wrong result");
}

/* The planned failure comes at the planned call. */
Test(cudasim, planned_failures) {
    setenv("CUDASIM_FAIL", "cudaMalloc:2:2", 1);
    expect_report(plain, "half_written", "cudaErrorMemoryAllocation");
    setenv("CUDASIM_FAIL", "cudaLaunchKernel:1:719", 1);
    expect_report(plain, "half_written", "cudaErrorLaunchFailure");
}

Test(cudasim, memory_is_finite) {
    char output[MOST_OUTPUT];
    setenv("CUDASIM_MEMORY", "9000", 1);
    cr_expect_eq(run(plain, "global_race", "correct", output), 0, "%s", output);
    setenv("CUDASIM_MEMORY", "8000", 1);
    expect_report(plain, "global_race", "cudaErrorMemoryAllocation");
}
