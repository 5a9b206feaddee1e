/* criterion.h: as much of Criterion as runs tests one after another, each in a forked process.
 *
 * Stands in for Criterion where the thread sanitizer is on: Criterion 2.4 maps memory where that
 * sanitizer keeps its own, and aborts. Tests see the same names. The first failed assertion ends
 * its test; options other than init, fini and disabled are taken and ignored. */
#ifndef PLAIN_CRITERION_H
#define PLAIN_CRITERION_H

#include <math.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct plain_options {
    void (*init)(void);
    void (*fini)(void);
    double timeout;
    const char *description;
    bool disabled;
};

/* A test, or the options of a whole suite (run is NULL). */
struct plain_test {
    const char *suite, *name;
    void (*run)(void);
    struct plain_options options;
    struct plain_test *next;
};

static struct plain_test *plain_tests;

#define PLAIN_ADD(entry, suite_name, test_name, function, ...)                                     \
    __attribute__((constructor)) static void entry##_add(void) {                                   \
        static struct plain_test entry = {                                                         \
            .suite = #suite_name, .name = test_name, .run = function, .options = {__VA_ARGS__}};   \
        entry.next = plain_tests;                                                                  \
        plain_tests = &entry;                                                                      \
    }

#define TestSuite(suite, ...) PLAIN_ADD(plain_suite_##suite, suite, NULL, NULL, __VA_ARGS__)

#define Test(suite, name, ...)                                                                     \
    static void suite##_##name(void);                                                              \
    PLAIN_ADD(plain_##suite##_##name, suite, #name, suite##_##name, __VA_ARGS__)                   \
    static void suite##_##name(void)

/* Tests with parameters: an array of them, and a test that gets a pointer to each in turn. */
struct criterion_test_params {
    size_t size;
    void *params;
    size_t length;
    void (*cleanup)(struct criterion_test_params *);
};

#define cr_malloc malloc
#define cr_free free
#define cr_make_param_array(type, array, count, clean)                                             \
    ((struct criterion_test_params){                                                               \
        .size = sizeof(type), .params = (array), .length = (count), .cleanup = (clean)})
#define ParameterizedTestParameters(suite, name)                                                   \
    static struct criterion_test_params suite##_##name##_params(void)
#define ParameterizedTest(parameter, suite, name, ...)                                             \
    static void suite##_##name(parameter);                                                         \
    static void suite##_##name##_each(void) {                                                      \
        struct criterion_test_params list = suite##_##name##_params();                             \
        for (size_t i = 0; i < list.length; i++)                                                   \
            suite##_##name((void *)((char *)list.params + i * list.size));                         \
        if (list.cleanup)                                                                          \
            list.cleanup(&list);                                                                   \
    }                                                                                              \
    PLAIN_ADD(plain_##suite##_##name, suite, #name, suite##_##name##_each, __VA_ARGS__)            \
    static void suite##_##name(parameter)

static inline void plain_check(bool holds, const char *file, int line, const char *words) {
    if (!holds) {
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, words);
        exit(1);
    }
}

/* Messages are not shown; their arguments count as used. */
static inline void plain_drop(int none, ...) { (void)none; }

#define cr_assert(condition, ...)                                                                  \
    (plain_check(condition, __FILE__, __LINE__, #condition), plain_drop(0, ##__VA_ARGS__))
#define cr_assert_not(condition, ...) cr_assert(!(condition), ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...) cr_assert((a) == (b), ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...) cr_assert((a) != (b), ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...) cr_assert((a) < (b), ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...) cr_assert((a) <= (b), ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...) cr_assert((a) > (b), ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...) cr_assert((a) >= (b), ##__VA_ARGS__)
#define cr_assert_null(a, ...) cr_assert((a) == NULL, ##__VA_ARGS__)
#define cr_assert_not_null(a, ...) cr_assert((a) != NULL, ##__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) cr_assert(strcmp(a, b) == 0, ##__VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) cr_assert(strcmp(a, b) != 0, ##__VA_ARGS__)
#define cr_assert_str_empty(a, ...) cr_assert(*(a) == '\0', ##__VA_ARGS__)
#define cr_assert_str_not_empty(a, ...) cr_assert(*(a) != '\0', ##__VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...) cr_assert(memcmp(a, b, size) == 0, ##__VA_ARGS__)
#define cr_assert_arr_neq(a, b, size, ...) cr_assert(memcmp(a, b, size) != 0, ##__VA_ARGS__)
#define cr_assert_float_eq(a, b, tolerance, ...)                                                   \
    cr_assert(fabs((a) - (b)) <= (tolerance), ##__VA_ARGS__)
#define cr_assert_fail(...) cr_assert(false)
#define cr_expect cr_assert
#define cr_expect_not cr_assert_not
#define cr_expect_eq cr_assert_eq
#define cr_expect_neq cr_assert_neq
#define cr_expect_lt cr_assert_lt
#define cr_expect_leq cr_assert_leq
#define cr_expect_gt cr_assert_gt
#define cr_expect_geq cr_assert_geq
#define cr_expect_null cr_assert_null
#define cr_expect_not_null cr_assert_not_null
#define cr_expect_str_eq cr_assert_str_eq
#define cr_expect_arr_eq cr_assert_arr_eq
#define cr_expect_arr_neq cr_assert_arr_neq
#define cr_expect_float_eq cr_assert_float_eq
#define cr_log_info(...) ((void)0)
#define cr_log_warn(...) ((void)0)
/* Ends the test as one that was not run, from whatever function. */
#define cr_skip_test(...)                                                                          \
    do {                                                                                           \
        fprintf(stderr, "[SKIP] %s\n", __func__);                                                  \
        longjmp(plain_skip, 1);                                                                    \
    } while (0)

/* Where a skipped test goes on. */
static jmp_buf plain_skip __attribute__((unused));

static inline const struct plain_options *plain_suite(const char *name) {
    static const struct plain_options none;
    for (const struct plain_test *entry = plain_tests; entry; entry = entry->next)
        if (!entry->run && strcmp(entry->suite, name) == 0)
            return &entry->options;
    return &none;
}

static inline void plain_call(void (*hook)(void)) {
    if (hook)
        hook();
}

/* Runs one test in a process of its own; whether it passed. */
static inline bool plain_run(const struct plain_test *test, const struct plain_options *suite) {
    fprintf(stderr, "[RUN ] %s::%s\n", test->suite, test->name);
    pid_t child = fork();
    if (child == 0) {
        plain_call(suite->init);
        plain_call(test->options.init);
        if (setjmp(plain_skip) == 0)
            test->run();
        plain_call(test->options.fini);
        plain_call(suite->fini);
        exit(0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    if (status != 0)
        fprintf(stderr, "[FAIL] %s::%s\n", test->suite, test->name);
    return status == 0;
}

/* Weak, for programs of several files: the first one's tests run. */
__attribute__((weak)) int main(void) {
    int count = 0, passed = 0;
    for (const struct plain_test *test = plain_tests; test; test = test->next) {
        const struct plain_options *suite = plain_suite(test->suite);
        if (!test->run || test->options.disabled || suite->disabled)
            continue;
        count++;
        passed += plain_run(test, suite);
    }
    fprintf(stderr, "[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: 0\n",
            count, passed, count - passed);
    return passed == count ? 0 : 1;
}

#endif
