/* interrupt.c: Ctrl-C as a wish to stop after the batch. */
#include <signal.h>

#include "fit.h"

static volatile sig_atomic_t seen;
static struct sigaction before;

static void on_interrupt(int number) {
    (void)number;
    seen = 1;
}

void qni_interrupt_catch(void) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART | SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    seen = 0;
    sigaction(SIGINT, &action, &before);
}

void qni_interrupt_restore(void) { sigaction(SIGINT, &before, NULL); }

bool qni_interrupt_seen(void) { return seen; }
