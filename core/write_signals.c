/* write_signals.c: writes that fail with an error instead of a signal. */
#define _GNU_SOURCE /* for sigtimedwait() */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "internal.h"

static const int of_writes[] = {SIGPIPE, SIGXFSZ};
enum { SIGNALS = sizeof(of_writes) / sizeof(of_writes[0]) };

/** Those of the set `chosen`, by their places in the list. */
static sigset_t signals_of(unsigned chosen) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < SIGNALS; i++)
        if (chosen >> i & 1)
            sigaddset(&set, of_writes[i]);
    return set;
}

unsigned qn_write_enter(void) {
    const sigset_t all = signals_of((1u << SIGNALS) - 1);
    sigset_t before;
    unsigned held = 0;
    if (pthread_sigmask(SIG_BLOCK, &all, &before) != 0)
        return 0;
    for (int i = 0; i < SIGNALS; i++)
        held |= (unsigned)!sigismember(&before, of_writes[i]) << i;
    return held;
}

/* What a write raised waits for this thread: it is taken away before the
 * signals are let through. */
void qn_write_leave(unsigned held) {
    const sigset_t mine = signals_of(held);
    const int error = errno;
    int taken;
    do
        taken = sigtimedwait(&mine, NULL, &(const struct timespec){0});
    while (taken > 0 || errno == EINTR);
    pthread_sigmask(SIG_UNBLOCK, &mine, NULL);
    errno = error;
}
