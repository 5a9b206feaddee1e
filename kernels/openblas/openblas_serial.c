/* openblas_serial.c: see openblas_serial.h. */
#include "openblas_serial.h"

#include <cblas.h>
#include <pthread.h>
#include <stdbool.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int stretches;     /* how many have begun and not ended */
static int saved_threads; /* what the program had set before the first of them */
static bool cut_off;      /* a fork ended stretches: `saved_threads` still holds */

static void before_fork(void) { pthread_mutex_lock(&lock); }

static void in_parent(void) { pthread_mutex_unlock(&lock); }

/* The child has none of the threads whose stretches these were. */
static void in_child(void) {
    cut_off = cut_off || stretches > 0;
    stretches = 0;
    pthread_mutex_unlock(&lock);
}

static void watch_forks(void) { pthread_atfork(before_fork, in_parent, in_child); }

void qnk_openblas_serial_begin(void) {
    if (openblas_get_parallel() != OPENBLAS_THREAD)
        return;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
    if (stretches++ == 0) {
        if (!cut_off)
            saved_threads = openblas_get_num_threads();
        cut_off = false;
        if (saved_threads != 1)
            openblas_set_num_threads(1);
    }
    pthread_mutex_unlock(&lock);
}

/* There where OpenBLAS was built with OpenMP, which brings its run-time along. */
extern int omp_get_max_threads(void) __attribute__((weak));
extern void omp_set_num_threads(int threads) __attribute__((weak));

int qnk_openblas_serial_thread(void) {
    if (openblas_get_parallel() != OPENBLAS_OPENMP || !omp_set_num_threads || !omp_get_max_threads)
        return 0;
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
    return before;
}

void qnk_openblas_thread_end(int before) {
    if (before > 0)
        omp_set_num_threads(before);
}

void qnk_openblas_serial_end(void) {
    if (openblas_get_parallel() != OPENBLAS_THREAD)
        return;
    pthread_mutex_lock(&lock);
    if (--stretches == 0 && saved_threads != 1)
        openblas_set_num_threads(saved_threads);
    pthread_mutex_unlock(&lock);
}
