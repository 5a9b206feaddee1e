/* simd_parallel.c: the one place where this provider's threads start.
 *
 * The loop stands in a function of its own because OpenMP outlines its body before inlining: a
 * kernel's inner loop written here would lose its constants. */
#include "simd.h"

void simd_parallel(int threads, int64_t count, simd_task task, const void *arg) {
    if (threads > count)
        threads = (int)count;
    if (threads <= 1) {
        for (int64_t index = 0; index < count; index++)
            task(arg, index);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t index = 0; index < count; index++)
        task(arg, index);
}
