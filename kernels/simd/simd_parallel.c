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

/* What every index of a call to simd_parallel() runs. */
typedef struct index_task {
    simd_task task;
    const void *arg;
} index_task;

/* The thread's own mode is as before when its tasks are done. */
static void run_indices(void *arg, int64_t first, int64_t end, int thread) {
    const index_task *t = arg;
    (void)thread;
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | FLUSH_DENORMALS);
    for (int64_t index = first; index < end; index++)
        t->task(t->arg, index);
    _mm_setcsr(mode);
}

void simd_parallel(int threads, int64_t count, simd_task task, const void *arg) {
    index_task t = {.task = task, .arg = arg};
    if (threads > 1 && count > 1)
        cpu_threads_divide(threads, count, run_indices, &t);
    else
        run_indices(&t, 0, count, 0);
}
