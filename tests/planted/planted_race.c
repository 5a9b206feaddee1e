/* planted_race.c: a test with a data race on purpose. The thread gate of ./run tests runs it and
 * fails when the race is not reported. */
#include <criterion/criterion.h>
#include <pthread.h>

static int shared;

static void *add(void *unused) {
    (void)unused;
    shared++;
    return NULL;
}

Test(planted, race) {
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, add, NULL), 0);
    shared++;
    pthread_join(thread, NULL);
}
