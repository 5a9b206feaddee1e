/* cpu_quota.c: affinity, and the limits of control groups (version 1 and 2, those around them too).
 *
 * What cannot be read sets no limit. */
#define _GNU_SOURCE
#include "cpu_quota.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int processors;

static void count_processors(void) {
    enum { MOST = 1 << 14 };
    cpu_set_t *set = CPU_ALLOC(MOST);
    const size_t size = CPU_ALLOC_SIZE(MOST);
    if (set && sched_getaffinity(0, size, set) == 0)
        processors = CPU_COUNT_S(size, set);
    if (set)
        CPU_FREE(set);
    if (processors < 1)
        processors = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < 1)
        processors = 1;
}

int cpu_processors(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, count_processors);
    return processors;
}

/* ---- control groups --------------------------------------------------------------------- */

/** Reads the first line of a file; false where it has none. */
static int read_line(const char *path, char *line, int size) {
    FILE *file = fopen(path, "re");
    const int read = file && fgets(line, size, file);
    if (file)
        fclose(file);
    return read;
}

/** Processors for so much time (microseconds) in each period; INT_MAX for no limit. */
static int share(long long quota, long long period) {
    if (quota <= 0 || period <= 0)
        return INT_MAX;
    const long long whole = quota / period + (quota % period != 0);
    return whole < INT_MAX ? (int)whole : INT_MAX;
}

/** What a group of version 2 grants: "100000 100000", or "max 100000". */
static int share_v2(const char *folder) {
    char path[PATH_MAX], line[64];
    long long quota = 0, period = 0;
    snprintf(path, sizeof(path), "%s/cpu.max", folder);
    if (!read_line(path, line, sizeof(line)) || sscanf(line, "%lld %lld", &quota, &period) != 2)
        return INT_MAX;
    return share(quota, period);
}

/** What a group of version 1 grants. */
static int share_v1(const char *folder) {
    char path[PATH_MAX], line[64];
    snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder);
    const long long quota = read_line(path, line, sizeof(line)) ? atoll(line) : 0;
    snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
    return share(quota, read_line(path, line, sizeof(line)) ? atoll(line) : 0);
}

/** The least that a group and those around it grant, from the group's folder up to the root's. */
static int least_share(const char *root, const char *group, int (*share_of)(const char *)) {
    char folder[PATH_MAX];
    int least = INT_MAX;
    snprintf(folder, sizeof(folder), "%s%s", root, group);
    for (;;) {
        const int here = share_of(folder);
        least = here < least ? here : least;
        char *slash = strrchr(folder, '/');
        if (strlen(folder) <= strlen(root) || !slash)
            return least;
        *slash = '\0';
    }
}

/** Where the groups of each version are mounted: alone, or beside those of the other. */
static const char *const version_2[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", NULL};
static const char *const version_1[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct",
                                        "/sys/fs/cgroup/cpuacct,cpu", NULL};

/** The least of a group's share in each of the places that are there. */
static int least_mounted(const char *const *roots, const char *group,
                         int (*share_of)(const char *)) {
    int least = INT_MAX;
    for (; *roots; roots++) {
        const int here = least_share(*roots, group, share_of);
        least = here < least ? here : least;
    }
    return least;
}

/** Whether a list separated by commas has a word. */
static int has_word(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return 1;
    return 0;
}

/** What the groups grant that one line of /proc/self/cgroup, "number:controllers:path", names. */
static int share_of_line(char *line) {
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return INT_MAX;
    *controllers++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (*controllers == '\0')
        return least_mounted(version_2, group, share_v2);
    return has_word(controllers, "cpu") ? least_mounted(version_1, group, share_v1) : INT_MAX;
}

int cpu_granted(void) {
    char line[PATH_MAX];
    int least = cpu_processors();
    /* In a container the groups' own root is mounted: its files are those of the container. */
    const int here = least_mounted(version_2, "", share_v2);
    const int earlier = least_mounted(version_1, "", share_v1);
    least = here < least ? here : least;
    least = earlier < least ? earlier : least;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof(line), file)) {
        const int granted = share_of_line(line);
        least = granted < least ? granted : least;
    }
    if (file)
        fclose(file);
    return least;
}
