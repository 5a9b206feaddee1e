/* interrupt.c: Ctrl-C and requests to end (SIGTERM, SIGHUP) as a wish to stop after the batch. */
#include <signal.h>

#include "fit.h"

/* A service manager, a batch system and a container's engine send SIGTERM, a terminal that closes
 * SIGHUP. */
static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNALS = sizeof(signals) / sizeof(*signals) };

static volatile sig_atomic_t seen;
static struct sigaction before[SIGNALS];

/* The second wish is not one: it ends the program as if nobody had listened. */
static void on_interrupt(int number) {
    if (seen) {
        signal(number, SIG_DFL);
        raise(number);
    }
    seen = number;
}

void qni_interrupt_catch(void) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    seen = 0;
    for (int i = 0; i < SIGNALS; i++) {
        sigaction(signals[i], &action, &before[i]);
        if (signals[i] != SIGINT && before[i].sa_handler == SIG_IGN) /* as nohup asks for */
            sigaction(signals[i], &before[i], NULL);
    }
}

void qni_interrupt_restore(void) {
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &before[i], NULL);
}

int qni_interrupt_seen(void) { return seen; }
