/* with_context.h: a context of its own for each test. */
#ifndef WITH_CONTEXT_H
#define WITH_CONTEXT_H

#include <criterion/criterion.h>
#include <string.h>

#include "quern.h"
#include "test_device.h"

static qn_context *ctx;

static inline void open_context(void) {
    ctx = qn_context_new(test_device());
    cr_assert_eq(qn_context_error(ctx, stderr), QN_OK);
}

/* Tests that provoke an error clear it. */
static inline void close_context(void) {
    cr_expect_eq(qn_context_error(ctx, stderr), QN_OK);
    qn_context_free(ctx);
}

/* The context has this error in these words; it is cleared. */
static inline void expect_error(qn_status status, const char *words) {
    cr_expect_eq(qn_context_error(ctx, NULL), status);
    cr_expect(strstr(qn_context_message(ctx), words), "\"%s\" is not in \"%s\"", words,
              qn_context_message(ctx));
    qn_context_clear_error(ctx);
}

/* The same of a fault in data, which the CPU finds at once, and other devices by the next wait. */
static inline void expect_data_error(const qn_tensor *result, qn_status status, const char *words) {
    cr_expect_eq(result == NULL, test_on_cpu(), "%s", words);
    qn_context_synchronize(ctx);
    expect_error(status, words);
}

#endif
