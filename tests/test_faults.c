/* test_faults.c: every allocation of a training step made to fail once.
 *
 * The linker sends the library's allocations to the wrappers below (tests/CMakeLists.txt). Leaks
 * are the sanitizer's business: under ./run tests this program runs with LeakSanitizer too. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "quern.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);

static long calls_left = -1; /* before the one that fails; negative: none fails */
static bool failed;

static bool fails(void) {
    if (calls_left < 0 || calls_left-- > 0)
        return false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    return fails() ? NULL : __real_realloc(memory, size);
}

/* Device memory is asked for again after the cache was given back, so it fails twice in a row. */
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
    static bool once_more;
    if (once_more || fails()) {
        once_more = !once_more;
        return ENOMEM;
    }
    return __real_posix_memalign(memory, alignment, size);
}

/** A small network with a layer of each kind. */
static qn_module *network(qn_context *ctx) {
    return qn_nn_sequential(ctx, qn_nn_conv2d(ctx, 1, 4, 3, &(qn_conv2d_opts){.padding = {1, 1}}),
                            qn_nn_batch_norm(ctx, 4, NULL), qn_nn_relu(ctx),
                            qn_nn_max_pool2d(ctx, 2, NULL), qn_nn_flatten(ctx),
                            qn_nn_dropout(ctx, 0.3), qn_nn_linear(ctx, 4 * 3 * 3, 5, NULL), NULL);
}

static qn_status step(qn_context *ctx, qn_module *net, qn_optimizer *optimizer) {
    float pixels[2 * 36];
    for (int i = 0; i < 72; i++)
        pixels[i] = (float)(i % 7) / 7;
    const int64_t classes[2] = {1, 4};
    qn_tensor *x = qn_from_data(ctx, QN_F32, QN_SHAPE(2, 1, 6, 6), pixels);
    qn_tensor *y = qn_from_data(ctx, QN_I64, QN_SHAPE(2), classes);
    qn_status status = qn_backward(qn_cross_entropy(qn_forward(net, x), y));
    if (status == QN_OK)
        status = qn_optimizer_step(optimizer);
    qn_step_end(ctx);
    return status;
}

/** Everything from the context to the second step. */
static qn_status train(void) {
    qn_context *ctx = qn_context_new("cpu");
    qn_context_set_threads(ctx, 1);
    qn_module *net = network(ctx);
    qn_optimizer_spec spec = qn_adam(1e-3);
    spec.clip_norm = 1;
    qn_optimizer *optimizer = qn_optimizer_new(net, spec);
    qn_status status = step(ctx, net, optimizer);
    if (status == QN_OK)
        status = step(ctx, net, optimizer);
    if (status != QN_OK)
        cr_assert_eq(qn_context_error(ctx, NULL), QN_OUT_OF_MEMORY, "%s", qn_context_message(ctx));
    qn_context_free(ctx);
    return status;
}

Test(faults, every_allocation_of_a_training_may_fail) {
    cr_assert_eq(train(), QN_OK);
    long n = 0;
    do {
        failed = false;
        calls_left = n++;
        qn_status status = train();
        calls_left = -1;
        if (failed)
            cr_assert_neq(status, QN_OK, "allocation %ld failed and nobody noticed", n);
        else
            cr_assert_eq(status, QN_OK);
    } while (failed);
    cr_assert_gt(n, 100, "only %ld allocations seen: are the wrappers in place?", n);
}

Test(faults, training_goes_on_after_memory_was_out) {
    long n = 0;
    do {
        qn_context *ctx = qn_context_new("cpu");
        qn_context_set_threads(ctx, 1);
        qn_module *net = network(ctx);
        qn_optimizer *optimizer = qn_optimizer_new(net, qn_sgd(0.1, 0.9));
        failed = false;
        calls_left = n++;
        qn_status status = step(ctx, net, optimizer);
        calls_left = -1;
        cr_assert_eq(failed, status != QN_OK);
        qn_context_clear_error(ctx);
        cr_assert_eq(step(ctx, net, optimizer), QN_OK, "after allocation %ld: %s", n,
                     qn_context_message(ctx));
        qn_context_free(ctx);
    } while (failed);
}
