/* cpu_threads.h: the threads of the CPU backend, and all that its kernels know of them.
 *
 * One pool serves the whole process. It is the library's own, since a library must not end its
 * host: OpenMP's run-time exits where a thread cannot be made, hangs in a child after fork(), and
 * leaves threads in code that dlclose() has unmapped. */
#ifndef QUERN_CPU_THREADS_H
#define QUERN_CPU_THREADS_H

#include "quern_backend.h"

/** Calls task(arg, part, part) for each part below `parts`, each on a thread of its own as far as
 * there are any: the caller's runs part 0, and what no other takes. Returns when all are done.
 * Parts must not wait for each other. A call within a part runs on its thread alone. Any thread may
 * call; calls at one time share the threads that are free. */
void cpu_threads_run(int parts, qn_task task, void *arg);

/** Runs the items from `first` to before `end`. */
typedef void (*cpu_range_task)(void *arg, int64_t first, int64_t end, int thread);

/** Divides `count` items among at most `threads` threads, neighbours together: as
 * cpu_threads_run(), with a range of items a part. */
void cpu_threads_divide(int threads, int64_t count, cpu_range_task task, void *arg);

/** A number of threads that suits the process: OMP_NUM_THREADS where that is a number
 * from 1 to 1024, else the processors that it may run on, or the share of them that
 * its control group grants. */
int cpu_threads_default(void);

/** Counts those who use the pool; its threads end with the last of them. */
void cpu_threads_retain(void);
void cpu_threads_release(void);

#endif
