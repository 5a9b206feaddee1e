/* cpu_threads.c: a pool of threads that fork and join in about a microsecond.
 *
 * A worker that has nothing to do looks for work for a while (SPIN_NS) and then sleeps. A caller
 * takes as many idle workers as it wants parts run, hands each its part, runs the first part
 * itself, and then waits in the same way: it looks, then it sleeps. Where there are more threads
 * than processors nobody looks, since looking would keep those who work from it.
 *
 * Nothing here fails: where the system makes no more threads the caller runs what is left. A child
 * after fork() has none of its parent's threads and starts with an empty pool. */
#define _GNU_SOURCE
#include "cpu_threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu_quota.h"

enum { MOST_WORKERS = 1023, STACK_BYTES = 4 << 20, SPIN_NS = 50000, LOOKS_A_GLANCE = 64 };

/** What a caller wants done. It lies on the caller's stack: after its last part has been counted in
 * `pending` nobody may touch it. */
typedef struct job {
    qn_task task;
    void *arg;
    _Atomic int pending; /* parts that others run and have not ended */
    bool spins;
} job;

typedef struct worker {
    _Alignas(64) _Atomic(job *) job; /* what it is to do; NULL: nothing yet */
    int part;
    _Atomic int asleep;
    bool made, quits;
    pthread_t thread;
    pthread_mutex_t mutex; /* of `wake` */
    pthread_cond_t wake;
} worker;

static struct {
    pthread_mutex_t mutex; /* of all that follows but what is atomic */
    worker workers[MOST_WORKERS];
    int idle[MOST_WORKERS]; /* numbers of workers without work, the last to end on top */
    int idle_count, made;   /* workers 0 to made - 1 have threads */
    int users;
    pthread_mutex_t join_mutex;
    pthread_cond_t joined;
    _Atomic int sleeping_callers;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .join_mutex = PTHREAD_MUTEX_INITIALIZER,
          .joined = PTHREAD_COND_INITIALIZER};

/* Whether this thread runs a part: what it calls then runs on it alone. */
static _Thread_local bool inside;

/* ---- waiting ---------------------------------------------------------------------------- */

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void glance(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/** Looks for a job for a while; NULL when there was none. */
static job *look_for_job(worker *w) {
    const int64_t end = now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < LOOKS_A_GLANCE; i++) {
            job *found = atomic_load_explicit(&w->job, memory_order_acquire);
            if (found)
                return found;
            glance();
        }
    } while (now_ns() < end);
    return NULL;
}

/** The next job of a worker, which looks for it before it sleeps where `spins`; NULL when it is to
 * end. */
static job *next_job(worker *w, bool spins) {
    job *found = spins ? look_for_job(w) : NULL;
    if (found)
        return found;
    pthread_mutex_lock(&w->mutex);
    atomic_store(&w->asleep, 1);
    while (!(found = atomic_load(&w->job)) && !w->quits)
        pthread_cond_wait(&w->wake, &w->mutex);
    atomic_store(&w->asleep, 0);
    pthread_mutex_unlock(&w->mutex);
    return found;
}

static void hand_over(worker *w, job *j) {
    atomic_store(&w->job, j);
    if (atomic_load(&w->asleep)) {
        pthread_mutex_lock(&w->mutex);
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->mutex);
    }
}

/** Counts a part as done; j is gone when it was the last. */
static void end_part(job *j) {
    if (atomic_fetch_sub(&j->pending, 1) == 1 && atomic_load(&pool.sleeping_callers) > 0) {
        pthread_mutex_lock(&pool.join_mutex);
        pthread_cond_broadcast(&pool.joined);
        pthread_mutex_unlock(&pool.join_mutex);
    }
}

/** Looks for a while whether the others have done their parts. */
static bool look_for_end(const job *j) {
    const int64_t end = now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < LOOKS_A_GLANCE; i++) {
            if (atomic_load_explicit(&j->pending, memory_order_acquire) == 0)
                return true;
            glance();
        }
    } while (now_ns() < end);
    return false;
}

/** Waits until the others have done their parts. */
static void join(job *j) {
    if (j->spins && look_for_end(j))
        return;
    pthread_mutex_lock(&pool.join_mutex);
    atomic_fetch_add(&pool.sleeping_callers, 1);
    while (atomic_load(&j->pending) > 0)
        pthread_cond_wait(&pool.joined, &pool.join_mutex);
    atomic_fetch_sub(&pool.sleeping_callers, 1);
    pthread_mutex_unlock(&pool.join_mutex);
}

/* ---- workers ---------------------------------------------------------------------------- */

static void go_idle(worker *w) {
    pthread_mutex_lock(&pool.mutex);
    pool.idle[pool.idle_count++] = (int)(w - pool.workers);
    pthread_mutex_unlock(&pool.mutex);
}

static void *work(void *arg) {
    worker *w = arg;
    inside = true;
    bool spins = false;
    for (job *j; (j = next_job(w, spins));) {
        const int part = w->part;
        spins = j->spins;
        j->task(j->arg, part, part);
        atomic_store_explicit(&w->job, NULL, memory_order_relaxed);
        go_idle(w); /* before the part counts as done: its caller finds this worker again */
        end_part(j);
    }
    return NULL;
}

/** Signals are left to the host's threads, but for those that a worker's own instructions raise:
 * the host's handlers would not see these where they are blocked, since the system then ends the
 * process. */
static void signals_of_others(sigset_t *set) {
    static const int raised[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    sigfillset(set);
    for (size_t i = 0; i < sizeof(raised) / sizeof(raised[0]); i++)
        sigdelset(set, raised[i]);
}

/** Makes the thread of a worker. */
static bool start(worker *w) {
    pthread_attr_t attributes;
    sigset_t blocked, before;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wake, NULL);
    w->quits = false;
    atomic_store(&w->job, NULL);
    atomic_store(&w->asleep, 0);
    signals_of_others(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    w->made = pthread_create(&w->thread, &attributes, work, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return w->made;
}

/** Takes up to `wanted` workers to `taken`, making new ones where no idle one is left: as many as
 * one caller wants, or, for several at one time, as there are processors. */
static int take_workers(int wanted, worker **taken) {
    const int enough = cpu_processors() - 1, most = wanted > enough ? wanted : enough;
    int count = 0;
    pthread_mutex_lock(&pool.mutex);
    while (count < wanted && pool.idle_count > 0)
        taken[count++] = &pool.workers[pool.idle[--pool.idle_count]];
    while (count < wanted && pool.made < most && pool.made < MOST_WORKERS &&
           start(&pool.workers[pool.made]))
        taken[count++] = &pool.workers[pool.made++];
    pthread_mutex_unlock(&pool.mutex);
    return count;
}

static void end_workers(void) {
    for (int i = 0; i < pool.made; i++) {
        worker *w = &pool.workers[i];
        pthread_mutex_lock(&w->mutex);
        w->quits = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->mutex);
    }
    for (int i = 0; i < pool.made; i++)
        pthread_join(pool.workers[i].thread, NULL);
    pool.made = pool.idle_count = 0;
}

/* ---- fork ------------------------------------------------------------------------------- */

static void before_fork(void) { pthread_mutex_lock(&pool.mutex); }

static void in_parent(void) { pthread_mutex_unlock(&pool.mutex); }

/** The child has none of the threads: it begins with an empty pool. */
static void in_child(void) {
    pthread_mutex_init(&pool.mutex, NULL);
    pthread_mutex_init(&pool.join_mutex, NULL);
    pthread_cond_init(&pool.joined, NULL);
    atomic_store(&pool.sleeping_callers, 0);
    pool.made = pool.idle_count = 0;
    inside = false;
}

static void watch_forks(void) { pthread_atfork(before_fork, in_parent, in_child); }

void cpu_threads_retain(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&pool.mutex);
    pool.users++;
    pthread_mutex_unlock(&pool.mutex);
}

void cpu_threads_release(void) {
    pthread_mutex_lock(&pool.mutex);
    if (--pool.users == 0 && pool.idle_count == pool.made)
        end_workers();
    pthread_mutex_unlock(&pool.mutex);
}

/* ---- running ---------------------------------------------------------------------------- */

static bool passive;

static void read_policy(void) {
    const char *policy = secure_getenv("OMP_WAIT_POLICY");
    passive = policy && (strcmp(policy, "passive") == 0 || strcmp(policy, "PASSIVE") == 0);
}

/** Whether so many threads may keep looking: each has a processor, and nobody asked them not to. */
static bool may_spin(int threads) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_policy);
    return !passive && threads <= cpu_processors();
}

void cpu_threads_run(int parts, qn_task task, void *arg) {
    worker *taken[MOST_WORKERS];
    const int wanted = inside ? 0 : parts - 1 < MOST_WORKERS ? parts - 1 : MOST_WORKERS;
    const int others = wanted > 0 ? take_workers(wanted, taken) : 0;
    job j = {.task = task, .arg = arg, .spins = may_spin(parts)};
    const bool was_inside = inside;
    atomic_store_explicit(&j.pending, others, memory_order_relaxed);
    for (int i = 0; i < others; i++) {
        taken[i]->part = i + 1;
        hand_over(taken[i], &j);
    }
    inside = true;
    task(arg, 0, 0);
    for (int part = others + 1; part < parts; part++)
        task(arg, part, part);
    inside = was_inside;
    if (others > 0)
        join(&j);
}

/* Items divided among parts. */
typedef struct division {
    cpu_range_task task;
    void *arg;
    int64_t count;
    int parts;
} division;

static void run_range(void *arg, int64_t part, int thread) {
    const division *d = arg;
    d->task(d->arg, d->count * part / d->parts, d->count * (part + 1) / d->parts, thread);
}

void cpu_threads_divide(int threads, int64_t count, cpu_range_task task, void *arg) {
    const int parts = threads < count ? threads : (int)count;
    division d = {.task = task, .arg = arg, .count = count, .parts = parts > 1 ? parts : 1};
    cpu_threads_run(d.parts, run_range, &d);
}

int cpu_threads_default(void) {
    const char *text = secure_getenv("OMP_NUM_THREADS");
    char *end;
    const long asked = text ? strtol(text, &end, 10) : 0;
    if (asked >= 1 && asked <= MOST_WORKERS + 1 && (*end == '\0' || *end == ','))
        return (int)asked;
    return cpu_granted();
}
