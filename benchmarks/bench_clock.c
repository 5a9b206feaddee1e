/* bench_clock.c: clocks, windows and medians. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double bench_age(void) {
    /* Field 22 of the line is the start in clock ticks since boot; the name
     * before may hold spaces. */
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "r");
    if (!file)
        return NAN;
    char *got = fgets(line, sizeof(line), file);
    fclose(file);
    char *at = got ? strrchr(line, ')') : NULL;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return NAN;
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    double started = strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec - started;
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

bench_spread bench_spread_of(double *values, int count) {
    qsort(values, (size_t)count, sizeof(*values), by_size);
    return (bench_spread){values[count / 2], values[0], values[count - 1]};
}

/** Seconds of `calls` calls. */
static double run(void (*body)(void *data), void *data, int64_t calls) {
    double start = bench_now();
    for (int64_t i = 0; i < calls; i++)
        body(data);
    return bench_now() - start;
}

bench_spread bench_time(void (*body)(void *data), void *data, double seconds, int windows) {
    double values[BENCH_MOST_WINDOWS], once = 0;
    int64_t calls = 1;
    if (windows > BENCH_MOST_WINDOWS)
        windows = BENCH_MOST_WINDOWS;
    while ((once = run(body, data, calls)) < seconds / 4 && calls < INT64_MAX / 4)
        calls *= 2; /* the warm-up finds how many calls fill a window */
    calls = (int64_t)((double)calls * seconds / once) + 1;
    for (int w = 0; w < windows; w++)
        values[w] = run(body, data, calls) / (double)calls;
    return bench_spread_of(values, windows);
}
