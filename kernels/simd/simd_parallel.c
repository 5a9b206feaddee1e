/* simd_parallel.c: the one place where this provider's threads start.
 *
 * Tasks count denormal numbers (below 2^-126) as zero, given or resulting. Intel's processors take
 * some 150 cycles for an instruction that meets one, and training makes them: gradients that vanish
 * over many steps, moments of parameters that get no more gradients. */
#include "simd.h"

#include <immintrin.h>

#include "cpu_threads.h"

/* Denormal results and operands are zero (FTZ and DAZ of MXCSR). */
enum { FLUSH_DENORMALS = 0x8040 };

/* Tasks from `first` to before `end`; the thread's own mode is as before when they are done. */
static void run_tasks(int64_t first, int64_t end, simd_task task, const void *arg) {
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | FLUSH_DENORMALS);
    for (int64_t index = first; index < end; index++)
        task(arg, index);
    _mm_setcsr(mode);
}

/* Tasks divided among threads: neighbours stay together. */
typedef struct division {
    simd_task task;
    const void *arg;
    int64_t count;
    int threads;
} division;

static void run_share(void *arg, int64_t part, int thread) {
    const division *d = arg;
    (void)thread;
    run_tasks(d->count * part / d->threads, d->count * (part + 1) / d->threads, d->task, d->arg);
}

void simd_parallel(int threads, int64_t count, simd_task task, const void *arg) {
    if (threads > count)
        threads = (int)count;
    if (threads <= 1) {
        run_tasks(0, count, task, arg);
        return;
    }
    division d = {.task = task, .arg = arg, .count = count, .threads = threads};
    cpu_threads_run(threads, run_share, &d);
}
