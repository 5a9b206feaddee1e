/* locale.c: text that does not depend on the locale of the program. */
#define _GNU_SOURCE /* for uselocale() */
#include <locale.h>
#include <pthread.h>

#include "internal.h"

static locale_t c_locale;

static void make_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* Where memory is out the locale stays as it is. */
void *qn_locale_enter(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    return c_locale ? uselocale(c_locale) : (locale_t)0;
}

void qn_locale_leave(void *before) {
    if (before)
        uselocale((locale_t)before);
}
