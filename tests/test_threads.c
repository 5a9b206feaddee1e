/* test_threads.c: the pool of threads: every part once, whoever calls at one time; a process that
 * forks, one that may make no threads, one whose control group grants little. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/cpu/cpu_quota.h"
#include "backends/cpu/cpu_threads.h"
#include "children.h"
#include "quern.h"

static _Atomic int threads_made;
static int threads_refused; /* calls of pthread_create() that fail from now on */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg) {
    if (threads_refused > 0) {
        threads_refused--;
        return EAGAIN;
    }
    threads_made++;
    return __real_pthread_create(thread, attributes, start, arg);
}

enum { MOST_PARTS = 40 };

typedef struct tally {
    _Atomic int times[MOST_PARTS];
    _Atomic int running[MOST_PARTS]; /* by thread number: two at a time must not have one */
    _Atomic int shared;
} tally;

static void count(void *arg, int64_t part, int thread) {
    tally *t = arg;
    if (atomic_fetch_add(&t->running[thread], 1) != 0)
        atomic_fetch_add(&t->shared, 1);
    atomic_fetch_add(&t->times[part], 1);
    atomic_fetch_sub(&t->running[thread], 1);
}

static void expect_each_once(int parts) {
    tally t = {.shared = 0};
    cpu_threads_run(parts, count, &t);
    for (int i = 0; i < MOST_PARTS; i++)
        cr_expect_eq(t.times[i], i < parts, "%d parts: part %d ran %d times", parts, i, t.times[i]);
    cr_expect_eq(t.shared, 0, "two parts ran at one time as one thread");
}

static void open_pool(void) { cpu_threads_retain(); }
static void close_pool(void) { cpu_threads_release(); }

TestSuite(threads, .init = open_pool, .fini = close_pool);

Test(threads, each_part_runs_once) {
    for (int round = 0; round < 200; round++)
        expect_each_once(1 + round % MOST_PARTS);
}

static void nest(void *arg, int64_t part, int thread) {
    (void)part;
    (void)thread;
    tally t = {.shared = 0};
    cpu_threads_run(5, count, &t);
    for (int i = 0; i < 5; i++)
        atomic_fetch_add((_Atomic int *)arg, t.times[i] == 1);
}

Test(threads, a_part_may_call_for_parts) {
    _Atomic int right = 0;
    cpu_threads_run(4, nest, &right);
    cr_expect_eq(right, 20);
}

static void *call_often(void *arg) {
    for (int i = 0; i < 300; i++) {
        tally t = {.shared = 0};
        cpu_threads_run(3, count, &t);
        if (t.times[0] != 1 || t.times[1] != 1 || t.times[2] != 1)
            *(int *)arg = 1;
    }
    return NULL;
}

Test(threads, many_may_call_at_one_time) {
    enum { CALLERS = 6 };
    pthread_t callers[CALLERS];
    int wrong[CALLERS] = {0};
    for (int i = 0; i < CALLERS; i++)
        cr_assert_eq(pthread_create(&callers[i], NULL, call_often, &wrong[i]), 0);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i], NULL);
        cr_expect_eq(wrong[i], 0);
    }
}

Test(threads, without_threads_the_caller_does_all) {
    threads_refused = 1000;
    expect_each_once(8);
    threads_refused = 0;
    expect_each_once(8);
    threads_refused = 1000; /* those that are there go on */
    expect_each_once(MOST_PARTS);
    threads_refused = 0;
}

Test(threads, they_end_with_the_last_user_and_begin_anew) {
    for (int i = 0; i < 20; i++) {
        expect_each_once(4);
        cpu_threads_release();
        cpu_threads_retain();
    }
}

static void look_at_signals(void *arg, int64_t part, int thread) {
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    if (thread > 0)
        ((int *)arg)[part] = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGUSR1) &&
                             !sigismember(&blocked, SIGSEGV) && !sigismember(&blocked, SIGILL);
}

Test(threads, handlers_run_on_the_hosts_threads_but_for_faults) {
    int right[3] = {0};
    cpu_threads_run(3, look_at_signals, right);
    cr_expect_eq(right[0], 0);
    cr_expect_eq(right[1], 1);
    cr_expect_eq(right[2], 1);
}

static void wait_a_little(void *arg, int64_t part, int thread) {
    (void)arg;
    (void)part;
    (void)thread;
    usleep(1000);
}

static void *run_two_parts(void *arg) {
    for (int i = 0; i < 20; i++)
        cpu_threads_run(2, wait_a_little, arg);
    return NULL;
}

Test(threads, many_callers_make_no_more_threads_than_there_are_processors) {
    enum { CALLERS = 24 };
    pthread_t callers[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        cr_assert_eq(pthread_create(&callers[i], NULL, run_two_parts, NULL), 0);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    const int enough = cpu_processors() > 2 ? cpu_processors() : 2;
    cr_expect_leq(threads_made, CALLERS + enough - 1);
}

/* ---- fork ------------------------------------------------------------------------------------ */

/** The sum of a product, on two threads of a context of its own. */
static double work(void) {
    qn_context *ctx = qn_context_new("cpu");
    qn_context_set_threads(ctx, 2);
    qn_tensor *a = qn_ones(ctx, QN_F32, QN_SHAPE(200, 200));
    const double sum = qn_item(qn_sum(qn_exp(qn_matmul(a, a)), QN_ALL, false));
    qn_context_free(ctx);
    return sum;
}

static void expect_child(double expected) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(work() == expected ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

Test(threads, a_child_has_threads_of_its_own) {
    if (!can_follow_children())
        return;
    const double expected = work();
    expect_child(expected);
    qn_context *ctx = qn_context_new("cpu"); /* whose threads wait */
    qn_context_set_threads(ctx, 2);
    qn_exp(qn_ones(ctx, QN_F32, QN_SHAPE(300, 300)));
    expect_child(expected);
    cr_expect_eq(work(), expected);
    qn_context_free(ctx);
}

static void *work_on(void *arg) {
    while (!atomic_load((_Atomic int *)arg))
        work();
    return NULL;
}

Test(threads, a_child_made_while_others_work) {
    if (!can_follow_children())
        return;
    const double expected = work();
    _Atomic int done = 0;
    pthread_t other;
    cr_assert_eq(pthread_create(&other, NULL, work_on, &done), 0);
    for (int i = 0; i < 10; i++)
        expect_child(expected);
    atomic_store(&done, 1);
    pthread_join(other, NULL);
}

/* ---- how many -------------------------------------------------------------------------------- */

Test(threads, a_number_in_the_environment) {
    static const char *const odd[] = {"", "0", "-3", "many", "999999999999999", "3x", "1025"};
    unsetenv("OMP_NUM_THREADS");
    const int granted = cpu_threads_default();
    cr_expect(granted >= 1 && granted <= cpu_processors());
    setenv("OMP_NUM_THREADS", "3", 1);
    cr_expect_eq(cpu_threads_default(), 3);
    setenv("OMP_NUM_THREADS", "5,2", 1); /* of nested regions */
    cr_expect_eq(cpu_threads_default(), 5);
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
        setenv("OMP_NUM_THREADS", odd[i], 1);
        cr_expect_eq(cpu_threads_default(), granted, "OMP_NUM_THREADS=%s", odd[i]);
    }
}

static void write_text(const char *path, const char *text) {
    FILE *out = fopen(path, "w");
    if (!out || fputs(text, out) == EOF || fclose(out) != 0)
        _exit(3);
}

/** A folder of control groups, and what its files say; NULL: it has no such file. */
typedef struct groups {
    const char *folder, *max, *quota, *period;
} groups;

/** What is granted where there are control groups as these alone, told by a child's exit code; 77
 * where none can be made. */
static int granted_with(groups g) {
    const pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) != 0 ||
            chdir("/sys/fs/cgroup") != 0 || (mkdir(g.folder, 0755) != 0 && errno != EEXIST) ||
            chdir(g.folder) != 0)
            _exit(77);
        if (g.max)
            write_text("cpu.max", g.max);
        if (g.quota)
            write_text("cpu.cfs_quota_us", g.quota);
        if (g.period)
            write_text("cpu.cfs_period_us", g.period);
        _exit(cpu_granted());
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(threads, a_control_group_bounds_them) {
    const int all = cpu_processors();
    static const groups one[] = {
        {".", "100000 100000\n", NULL, NULL},          {".", "50000 100000\n", NULL, NULL},
        {"unified", "100000 100000\n", NULL, NULL},    {"cpu", NULL, "100000\n", "100000\n"},
        {"cpu,cpuacct", NULL, "100000\n", "100000\n"}, {"cpuacct,cpu", NULL, "30000\n", "100000\n"},
    };
    static const groups none[] = {
        {".", "max 100000\n", NULL, NULL},
        {".", "nonsense\n", NULL, NULL},
        {".", "", NULL, NULL},
        {".", "900000000 100000\n", NULL, NULL},
        {".", "99999999999999999999 1\n", NULL, NULL},
        {"unified", "max 100000\n", NULL, NULL},
        {"cpu", NULL, "-1\n", "100000\n"},
        {"cpu", NULL, "100000\n", NULL},
        {"cpu,cpuacct", NULL, "-1\n", "100000\n"},
        {"memory", NULL, "1\n", "100000\n"},
    };
    if (granted_with(none[0]) == 77)
        cr_skip_test("no mounts of one's own here");
    for (size_t i = 0; i < sizeof(one) / sizeof(*one); i++)
        cr_expect_eq(granted_with(one[i]), 1, "group %zu", i);
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        cr_expect_eq(granted_with(none[i]), all, "group %zu without a limit", i);
}

/** As where nobody gave the process a view of the system. */
static int without_system_files(int hide_all) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", "/sys", "tmpfs", 0, NULL) != 0 ||
            (hide_all && (mount("none", "/proc", "tmpfs", 0, NULL) != 0)))
            _exit(77);
        qn_context *ctx = qn_context_new("cpu");
        qn_tensor *x = qn_ones(ctx, QN_F32, QN_SHAPE(64, 64)), *y = qn_matmul(x, x);
        const bool right = qn_item(qn_mean(y, QN_ALL, false)) == 64 &&
                           qn_context_threads(ctx) >= 1 && *qn_context_describe(ctx) &&
                           qn_context_read_limit(ctx) > 0;
        qn_context_error(ctx, stderr);
        qn_context_free(ctx);
        _exit(right ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(threads, neither_proc_nor_sys_has_to_be_there) {
    for (int hide_all = 0; hide_all < 2; hide_all++) {
        const int code = without_system_files(hide_all);
        if (code == 77)
            cr_skip_test("no mounts of one's own here");
        cr_expect_eq(code, 0, "%d", hide_all);
    }
}
