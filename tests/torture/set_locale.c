/* set_locale.c: loaded before a program (LD_PRELOAD), sets the locale that the environment names,
 * as hosts with a user interface do. Says so when there is none: a run without it would prove
 * nothing. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((constructor)) static void set_locale(void) {
    if (!setlocale(LC_ALL, "")) {
        fputs("set_locale: no such locale\n", stderr);
        _Exit(1);
    }
}
