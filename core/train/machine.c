/* machine.c: the clock, memory, and the machine in words. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "fit.h"

double qni_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

double qni_peak_rss_mb(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024; /* Linux counts in KiB */
}

/** Longest line of /etc/os-release that matters. */
#define LINE_SIZE 160

/** The distribution's name from /etc/os-release; `out` stays as it is where there is none. False
 * when memory is out. */
static bool read_distribution(char out[LINE_SIZE]) {
    static const char key[] = "PRETTY_NAME=\"";
    FILE *file = fopen("/etc/os-release", "r");
    if (!file)
        return errno != ENOMEM;
    char line[LINE_SIZE];
    while (fgets(line, sizeof(line), file))
        if (strncmp(line, key, sizeof(key) - 1) == 0) {
            line[strcspn(line, "\n")] = '\0';
            char *quote = strrchr(line, '"');
            *quote = '\0'; /* the key has one, so there is one */
            snprintf(out, LINE_SIZE, "%s", line + sizeof(key) - 1);
        }
    fclose(file);
    return true;
}

void qni_machine(const qn_context *ctx, qni_pairs *out) {
    struct utsname names = {0};
    uname(&names);
    char distribution[LINE_SIZE] = "";
    out->failed |= !read_distribution(distribution);
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    qni_pairs_add(out, "device", "%s: %s", qn_context_device(ctx), qn_context_describe(ctx));
    qni_pairs_add(out, "threads", "%d", qn_context_threads(ctx));
    qni_pairs_add(out, "cores", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    qni_pairs_add(out, "memory", "%.1f GiB", memory / (1 << 30));
    qni_pairs_add(out, "peak memory", "%.0f MiB", qni_peak_rss_mb());
    qni_pairs_add(out, "system", "%s%s%s %s", distribution, *distribution ? ", " : "",
                  names.sysname, names.release);
    qni_pairs_add(out, "Quern", "%s", qn_version());
}
