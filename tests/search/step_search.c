/* step_search.c: many graphs, each batch of them in a process of its own,
 * and findings made small. */
#include "step_graph.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 200, WORDS = 400 };

/** What a child tells its parent. */
typedef struct note {
    uint64_t seed; /* that it is at */
    bool failed;
    step_tally tally;
    char words[WORDS];
} note;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/** Runs graphs from a seed on, or the one given, in a child; false when
 * one failed or it crashed. */
static bool run_child(note *shared, uint64_t first, int64_t count, const step_graph *only) {
    *shared = (note){.seed = first};
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        for (int64_t i = 0; i < count && !shared->failed; i++) {
            shared->seed = first + (uint64_t)i;
            const step_graph graph = only ? *only : step_graph_of(shared->seed);
            shared->failed = !step_compare(&graph, &shared->tally, shared->words, WORDS);
        }
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        snprintf(shared->words, WORDS, "cannot start a process");
        return false;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return !shared->failed;
    snprintf(shared->words, WORDS, "the process ended with %s %d",
             WIFSIGNALED(status) ? "signal" : "code",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

/* ---- made small -------------------------------------------------------------------------- */

static bool still_fails(note *shared, const step_graph *graph) {
    return !run_child(shared, graph->seed, 1, graph);
}

static bool leave_out(note *shared, step_graph *graph, int at) {
    step_graph less = *graph;
    for (int i = at + 1; i < less.count; i++)
        less.instruction[i - 1] = less.instruction[i];
    less.count--;
    if (!still_fails(shared, &less))
        return false;
    *graph = less;
    return true;
}

/** Leaves out what a failure does not need. */
static void make_small(note *shared, step_graph *graph) {
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (int i = graph->count - 1; i >= 0; i--)
            smaller = leave_out(shared, graph, i) || smaller;
    }
    step_graph simple = *graph;
    simple.threads = 1;
    if (still_fails(shared, &simple))
        *graph = simple;
    simple = *graph;
    simple.end = STEP_FORWARD;
    if (still_fails(shared, &simple))
        *graph = simple;
    simple = *graph;
    simple.alias = STEP_NO_ALIAS;
    if (still_fails(shared, &simple))
        *graph = simple;
    still_fails(shared, graph); /* the words are this one's */
}

static void report(note *shared, FILE *stream) {
    step_graph graph = step_graph_of(shared->seed);
    fprintf(stream, "seed %llu: %s\n", (unsigned long long)shared->seed, shared->words);
    make_small(shared, &graph);
    fprintf(stream, "made small: %s\n", shared->words);
    fflush(NULL);
    const pid_t child = fork(); /* this process does not use the library */
    if (child == 0) {
        step_describe(&graph, stream);
        fflush(stream);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

/* ---- the search -------------------------------------------------------------------------- */

static void add_tally(step_tally *tally, const step_tally *more) {
    tally->graphs += more->graphs;
    tally->replayed += more->replayed;
    tally->fused += more->fused;
}

bool step_search(uint64_t first, int64_t count, double seconds, FILE *stream, step_tally *tally) {
    note *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return false;
    const double begin = now();
    bool good = true;
    for (int64_t done = 0; good && (count == 0 || done < count) &&
                           (count > 0 || seconds <= 0 || now() - begin < seconds);
         done += BATCH) {
        const int64_t left = count > 0 && count - done < BATCH ? count - done : BATCH;
        good = run_child(shared, first + (uint64_t)done, left, NULL);
        add_tally(tally, &shared->tally);
    }
    if (!good)
        report(shared, stream);
    munmap(shared, sizeof(*shared));
    return good;
}
