/* test_core.c: contexts, tensors and their lifetimes, memory, errors, the tape. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quern.h"
#include "test_device.h"

static qn_context *ctx;

static void open_context(void) { ctx = qn_context_new(test_device()); }

static void close_context(void) { qn_context_free(ctx); }

TestSuite(core, .init = open_context, .fini = close_context);

static qn_tensor *numbers(qn_shape shape) {
    float values[64];
    for (int i = 0; i < 64; i++)
        values[i] = (float)i;
    return qn_from_data(ctx, QN_F32, shape, values);
}

static void expect_error(qn_status status, const char *message) {
    cr_assert_eq(qn_context_error(ctx, NULL), status, "%s", qn_context_message(ctx));
    cr_assert_str_eq(qn_context_message(ctx), message);
}

/* ---- contexts and errors ----------------------------------------------------------------- */

Test(core, version_is_the_headers) {
    char expected[32];
    snprintf(expected, sizeof(expected), "%d.%d.%d", QN_VERSION_MAJOR, QN_VERSION_MINOR,
             QN_VERSION_PATCH);
    cr_assert_str_eq(qn_version(), expected);
}

Test(core, every_status_and_dtype_has_words) {
    cr_assert_str_eq(qn_status_string(QN_OK), "success");
    cr_assert_str_eq(qn_status_string((qn_status)999), "unknown status");
    cr_assert_str_eq(qn_dtype_string(QN_I64), "i64");
    cr_assert_eq(qn_dtype_bytes(QN_F64), 8);
}

Test(core, auto_is_the_cpu_here) {
    qn_context *best = qn_context_new("auto");
    cr_assert_eq(qn_context_error(best, stderr), QN_OK);
    cr_assert_str_not_empty(qn_context_describe(best));
    qn_context_free(best);
}

Test(core, unknown_devices_leave_their_error_on_the_context) {
    const char *names[] = {"tpu", "cpu:1", "cpu:x", ":0", test_on_cpu() ? "cuda:0" : "cuda:99"};
    for (int i = 0; i < 5; i++) {
        qn_context *none = qn_context_new(names[i]);
        cr_assert_neq(qn_context_error(none, NULL), QN_OK, "%s", names[i]);
        cr_assert_str_not_empty(qn_context_message(none));
        cr_assert_null(qn_zeros(none, QN_F32, QN_SHAPE(2)));
        cr_assert_eq(qn_context_draw(none), 0);
        qn_step_end(none);
        qn_context_free(none);
    }
}

Test(core, environment_that_names_nothing_is_an_error) {
    setenv("QUERN_ISA", "sse9", 1);
    qn_context *none = qn_context_new("cpu");
    cr_assert_str_eq(qn_context_message(none),
                     "device cpu:0: QUERN_ISA=sse9: expected avx512, avx2 or baseline");
    qn_context_free(none);
    unsetenv("QUERN_ISA");
    setenv("QUERN_PROVIDERS", "mkl", 1);
    none = qn_context_new("cpu");
    cr_assert_str_eq(qn_context_message(none), "QUERN_PROVIDERS=mkl: cpu has no such provider");
    qn_context_free(none);
}

Test(core, first_failure_sticks_until_cleared) {
    cr_assert_null(qn_add(numbers(QN_SHAPE(2, 3)), numbers(QN_SHAPE(4))));
    char first[256];
    snprintf(first, sizeof(first), "%s", qn_context_message(ctx));
    cr_assert_not_null(strstr(first, "add"));
    cr_assert_not_null(strstr(first, "[2, 3]"));
    qn_context_fail(ctx, QN_IO_ERROR, "later");
    expect_error(QN_SHAPE_MISMATCH, first);
    qn_context_clear_error(ctx);
    expect_error(QN_OK, "");
    qn_context_fail(ctx, QN_IO_ERROR, "file %d", 7);
    expect_error(QN_IO_ERROR, "file 7");
}

Test(core, null_gives_null) {
    cr_assert_null(qn_add(NULL, numbers(QN_SHAPE(2))));
    expect_error(QN_INVALID_ARGUMENT, "add: input 0 (a) is NULL");
    qn_context_clear_error(ctx);
    cr_assert_null(qn_relu(NULL));
    cr_assert_null(qn_keep(NULL));
    cr_assert_null(qn_require_grad(NULL));
    cr_assert(isnan(qn_item(NULL)));
    cr_assert_eq(qn_tensor_count(NULL), 0);
    qn_tensor_free(NULL);
    qn_context_free(NULL);
    qn_step_end(NULL);
    cr_assert_eq(qn_context_error(NULL, NULL), QN_OUT_OF_MEMORY);
    cr_assert_eq(qn_context_error(ctx, NULL), QN_OK);
}

Test(core, tensors_of_two_contexts_do_not_mix) {
    qn_context *other = qn_context_new(test_device());
    cr_assert_null(qn_add(numbers(QN_SHAPE(2)), qn_ones(other, QN_F32, QN_SHAPE(2))));
    expect_error(QN_INVALID_ARGUMENT, "add: inputs belong to different contexts");
    qn_context_free(other);
}

/* ---- tensors ----------------------------------------------------------------------------- */

Test(core, elements_go_in_and_come_out) {
    qn_tensor *x = numbers(QN_SHAPE(2, 3));
    float back[6];
    cr_assert_eq(qn_tensor_read(x, back, sizeof(back)), QN_OK);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(back[i], (float)i);
    cr_assert_eq(qn_tensor_read(qn_transpose(x, 0, 1), back, sizeof(back)), QN_OK);
    const float swapped[6] = {0, 3, 1, 4, 2, 5};
    cr_assert_arr_eq(back, swapped, sizeof(back));
    cr_assert_eq(qn_tensor_read(x, back, 4), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "tensor_read: 4 bytes given for f32 [2, 3], expected 24");
}

Test(core, impossible_shapes_are_refused) {
    cr_assert_null(qn_zeros(ctx, QN_F32, QN_SHAPE(3, -1)));
    expect_error(QN_SHAPE_MISMATCH, "tensor: negative extent in [3, -1]");
    qn_context_clear_error(ctx);
    cr_assert_null(qn_zeros(ctx, QN_F32, QN_SHAPE(INT64_MAX / 2, 16)));
    cr_assert_eq(qn_context_error(ctx, NULL), QN_OUT_OF_MEMORY);
    qn_context_clear_error(ctx);
    cr_assert_null(qn_zeros(ctx, QN_F32, QN_SHAPE(0, INT64_MAX / 2, 16)));
    cr_assert_eq(qn_context_error(ctx, NULL), QN_OUT_OF_MEMORY);
    qn_context_clear_error(ctx);
    cr_assert_null(qn_zeros(ctx, QN_F32, QN_SHAPE(INT64_MAX / 64)));
    cr_assert_eq(qn_context_error(ctx, NULL), QN_OUT_OF_MEMORY);
    qn_context_clear_error(ctx);
    cr_assert_null(qn_zeros(ctx, QN_F32, (qn_shape){.rank = 7}));
    cr_assert_eq(qn_context_error(ctx, NULL), QN_INVALID_ARGUMENT);
}

Test(core, shapes_have_words_and_can_be_compared) {
    const int64_t least = INT64_MIN;
    cr_expect_str_eq(qn_shape_text(QN_SCALAR).s, "[]");
    cr_expect_str_eq(qn_shape_text(QN_SHAPE(64, 784)).s, "[64, 784]");
    cr_expect_str_eq(qn_shape_text(QN_SHAPE(least, least, least, least, least, least)).s,
                     "[-9223372036854775808, -9223372036854775808, -9223372036854775808, "
                     "-9223372036854775808, -9223372036854775808, -9223372036854775808]");
    cr_expect(qn_shape_equal(QN_SCALAR, QN_SCALAR));
    cr_expect(qn_shape_equal(QN_SHAPE(2, 3), QN_SHAPE(2, 3)));
    cr_expect_not(qn_shape_equal(QN_SHAPE(2, 3), QN_SHAPE(3, 2)));
    cr_expect_not(qn_shape_equal(QN_SHAPE(2), QN_SHAPE(2, 1)));
    cr_expect_not(qn_shape_equal(QN_SCALAR, QN_SHAPE(0)));
    qn_shape same = {.rank = 1, .dim = {2, 7}}; /* what lies beyond the rank does not count */
    cr_expect(qn_shape_equal(same, QN_SHAPE(2)));
}

Test(core, print_shortens_long_axes) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    cr_assert_eq(qn_tensor_print(numbers(QN_SHAPE(2, 2)), stream), QN_OK);
    cr_assert_eq(qn_tensor_print(numbers(QN_SHAPE(20)), stream), QN_OK);
    fclose(stream);
    cr_assert_str_eq(text,
                     "f32 [2, 2]\n[[0, 1],\n [2, 3]]\nf32 [20]\n[0, 1, 2, ..., 17, 18, 19]\n");
    free(text);
}

Test(core, step_tensors_go_and_kept_ones_stay) {
    qn_max(numbers(QN_SHAPE(8)), QN_ALL, false); /* takes the scratch that stays with the context */
    qn_step_end(ctx);
    size_t empty = qn_memory_stats(ctx).in_use;
    qn_tensor *kept = qn_keep(numbers(QN_SHAPE(8)));
    size_t with_one = qn_memory_stats(ctx).in_use;
    for (int i = 0; i < 5; i++)
        qn_exp(kept);
    cr_assert_gt(qn_memory_stats(ctx).in_use, with_one);
    qn_step_end(ctx);
    cr_assert_eq(qn_memory_stats(ctx).in_use, with_one);
    cr_assert_eq(qn_item(qn_max(kept, QN_ALL, false)), 7);
    qn_tensor_free(kept);
    qn_step_end(ctx);
    cr_assert_eq(qn_memory_stats(ctx).in_use, empty);
}

Test(core, release_spares_what_is_needed) {
    qn_tensor *kept = qn_keep(numbers(QN_SHAPE(8))), *leaf = qn_require_grad(numbers(QN_SHAPE(8)));
    qn_tensor *taped = qn_exp(leaf), *plain = qn_exp(kept);
    size_t before = qn_memory_stats(ctx).in_use;
    qn_tensor_release(kept);
    qn_tensor_release(leaf);
    qn_tensor_release(taped);
    qn_tensor_release(NULL);
    cr_assert_eq(qn_memory_stats(ctx).in_use, before);
    qn_tensor_release(plain);
    cr_assert_lt(qn_memory_stats(ctx).in_use, before);
    cr_assert_eq(qn_item(qn_max(kept, QN_ALL, false)), 7);
}

Test(core, a_view_keeps_the_memory_of_what_it_looks_at) {
    qn_tensor *row = qn_keep(qn_slice(numbers(QN_SHAPE(4, 5)), 0, 2, 3));
    qn_step_end(ctx);
    for (int i = 0; i < 10; i++)
        qn_full(ctx, QN_F32, QN_SHAPE(4, 5), 9);
    cr_assert_eq(qn_item(qn_sum(row, QN_ALL, false)), 10 + 11 + 12 + 13 + 14);
}

Test(core, a_steady_loop_asks_the_system_for_nothing) {
    qn_tensor *w = qn_parameter(ctx, QN_F32, QN_SHAPE(30, 20));
    size_t before = 0;
    for (int i = 0; i < 6; i++) {
        qn_tensor *y = qn_tanh(qn_matmul(qn_full(ctx, QN_F32, QN_SHAPE(10, 30), 1), w));
        cr_assert_eq(qn_backward(qn_mean(y, QN_ALL, false)), QN_OK);
        qn_step_end(ctx);
        if (i == 2)
            before = qn_memory_stats(ctx).allocations;
    }
    cr_assert_eq(qn_memory_stats(ctx).allocations, before);
    qn_memory_trim(ctx);
    cr_assert_eq(qn_memory_stats(ctx).reserved, qn_memory_stats(ctx).in_use);
}

static int destroyed[3], destroyed_count;

static void note(void *object) { destroyed[destroyed_count++] = *(int *)object; }

Test(core, owned_objects_go_last_first) {
    static int one = 1, two = 2, three = 3;
    qn_context *owner = qn_context_new(test_device());
    destroyed_count = 0;
    qn_context_own(owner, &one, note);
    qn_context_own(owner, &two, note);
    qn_context_own(owner, &three, note);
    qn_context_disown(owner, &two);
    qn_context_free(owner);
    cr_assert_eq(destroyed_count, 2);
    cr_assert_eq(destroyed[0], 3);
    cr_assert_eq(destroyed[1], 1);
}

/* ---- the tape ---------------------------------------------------------------------------- */

Test(core, gradients_add_up_until_forgotten) {
    qn_tensor *w = qn_parameter(ctx, QN_F32, QN_SCALAR);
    qn_fill(w, 3);
    for (int i = 1; i <= 3; i++) {
        cr_assert_eq(qn_backward(qn_mul(w, w)), QN_OK);
        cr_assert_eq(qn_item(qn_grad(w)), 6 * i);
        qn_step_end(ctx);
    }
    qn_zero_grad(w);
    cr_assert_null(qn_grad(w));
}

Test(core, only_parameters_are_settled) {
    qn_tensor *plain = qn_zeros(ctx, QN_F32, QN_SHAPE(2));
    cr_assert_eq(qn_settle_gradients(&plain, 1), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "settle_gradients: tensor 0 [2] is not a parameter");
    qn_context_clear_error(ctx);
    qn_tensor *none = NULL;
    cr_assert_eq(qn_settle_gradients(&none, 1), QN_INVALID_ARGUMENT);
    qn_tensor *w = qn_parameter(ctx, QN_F32, QN_SHAPE(2));
    cr_assert_eq(qn_settle_gradients(&w, 1), QN_OK);
    cr_assert_eq(qn_item(qn_sum(qn_grad(w), QN_ALL, false)), 0);
}

Test(core, one_tensor_used_many_times_gathers_every_part) {
    qn_tensor *w = qn_parameter(ctx, QN_F32, QN_SCALAR);
    qn_fill(w, 2);
    qn_tensor *square = qn_mul(w, w), *fourth = qn_mul(square, square);
    cr_assert_eq(qn_backward(qn_add(qn_add(fourth, square), w)), QN_OK);
    cr_assert_eq(qn_item(qn_grad(w)), 4 * 8 + 2 * 2 + 1);
}

Test(core, empty_tensors_go_through_operations) {
    qn_tensor *x = qn_require_grad(qn_zeros(ctx, QN_F32, QN_SHAPE(0, 3)));
    qn_tensor *y = qn_exp(x);
    cr_assert_not_null(y, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_tensor_count(y), 0);
    cr_expect_eq(qn_backward(qn_sum(y, QN_ALL, false)), QN_OK, "%s", qn_context_message(ctx));
}

/* Whatever a kernel may take at once: each operand is whole vectors from the memory's start on, or
 * one element off. */
Test(core, operands_may_begin_anywhere) {
    enum { COUNT = 16 };
    const float values[COUNT + 1] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    qn_tensor *x = qn_from_data(ctx, QN_F32, QN_SHAPE(COUNT + 1), values);
    for (int way = 0; way < 4; way++) {
        const int a = way & 1, b = way >> 1;
        float sums[COUNT];
        qn_tensor *y = qn_add(qn_slice(x, 0, a, a + COUNT), qn_slice(x, 0, b, b + COUNT));
        cr_assert_eq(qn_tensor_read(y, sums, sizeof(sums)), QN_OK, "%s", qn_context_message(ctx));
        for (int i = 0; i < COUNT; i++)
            cr_expect_eq(sums[i], (float)(2 * i + a + b), "from %d and %d: element %d", a, b, i);
    }
}

Test(core, bounds_belong_to_what_clamp_lets_through) {
    const float values[] = {-1, -0.5F, 0, 0.5F, 1}, expected[] = {0, 1, 1, 1, 0};
    float got[5];
    qn_tensor *x = qn_require_grad(qn_from_data(ctx, QN_F32, QN_SHAPE(5), values));
    cr_assert_eq(qn_backward(qn_sum(qn_clamp(x, -0.5, 0.5), QN_ALL, false)), QN_OK);
    cr_assert_eq(qn_tensor_read(qn_grad(x), got, sizeof(got)), QN_OK);
    cr_expect_arr_eq(got, expected, sizeof(got));
}

Test(core, gradients_leave_the_leaves_alone) {
    qn_tensor *x = qn_require_grad(numbers(QN_SHAPE(4))),
              *unused = qn_parameter(ctx, QN_F32, QN_SHAPE(2));
    qn_tensor *inputs[] = {x, unused}, *grads[2], *second;
    qn_tensor *loss = qn_sum(qn_mul(qn_mul(x, x), x), QN_ALL, false);
    cr_assert_eq(qn_gradients(loss, inputs, 2, grads, true), QN_OK);
    cr_assert_null(qn_grad(x));
    cr_assert_eq(qn_item(qn_sum(grads[0], QN_ALL, false)), 3 * (1 + 4 + 9));
    cr_assert_eq(qn_item(qn_sum(grads[1], QN_ALL, false)), 0);
    cr_assert_eq(qn_gradients(qn_sum(grads[0], QN_ALL, false), inputs, 1, &second, false), QN_OK);
    cr_assert_eq(qn_item(qn_sum(second, QN_ALL, false)), 6 * (1 + 2 + 3));
}

Test(core, gradient_of_an_intermediate_result) {
    qn_tensor *x = qn_require_grad(numbers(QN_SHAPE(4)));
    qn_tensor *middle = qn_affine(x, 2, 0), *grad;
    qn_tensor *loss = qn_sum(qn_mul(middle, middle), QN_ALL, false);
    cr_assert_eq(qn_gradients(loss, &middle, 1, &grad, false), QN_OK);
    cr_assert_eq(qn_item(qn_sum(grad, QN_ALL, false)), 2 * 2 * (1 + 2 + 3));
}

Test(core, no_tape_without_need) {
    qn_tensor *x = qn_require_grad(numbers(QN_SHAPE(4)));
    cr_assert(qn_context_set_grad(ctx, false));
    cr_assert_not(qn_requires_grad(qn_exp(x)));
    cr_assert_not(qn_context_set_grad(ctx, true));
    cr_assert(qn_requires_grad(qn_exp(x)));
    cr_assert_not(qn_requires_grad(qn_exp(qn_detach(x))));
    cr_assert_not(qn_requires_grad(qn_argmax(x, 0)));
}

Test(core, what_cannot_be_differentiated_says_so) {
    qn_tensor *x = qn_require_grad(numbers(QN_SHAPE(2, 2)));
    cr_assert_eq(qn_backward(qn_exp(x)), QN_SHAPE_MISMATCH);
    expect_error(QN_SHAPE_MISMATCH, "backward: the loss has shape [2, 2], expected one element");
    qn_context_clear_error(ctx);
    cr_assert_eq(qn_backward(qn_ones(ctx, QN_F32, QN_SCALAR)), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT,
                 "backward: the loss depends on nothing that requires a gradient");
    qn_context_clear_error(ctx);
    cr_assert_null(qn_require_grad(qn_zeros(ctx, QN_I64, QN_SHAPE(2))));
    expect_error(QN_DTYPE_MISMATCH, "require_grad: i64 has no gradient, expected f32 or f64");
}

/* ---- random numbers and threads ---------------------------------------------------------- */

Test(core, a_random_stream_goes_on_from_its_state) {
    float first[100], again[100];
    qn_context_seed(ctx, 42);
    qn_tensor_read(qn_uniform(ctx, QN_F32, QN_SHAPE(7), 0, 1), first, 7 * sizeof(float));
    qn_random_state state = qn_context_random(ctx);
    cr_assert_eq(state.key, 42);
    cr_assert_eq(state.counter, 2);
    qn_tensor_read(qn_normal(ctx, QN_F32, QN_SHAPE(100), 0, 1), first, sizeof(first));
    uint64_t drawn = qn_context_draw(ctx);
    qn_context_set_random(ctx, state);
    qn_tensor_read(qn_normal(ctx, QN_F32, QN_SHAPE(100), 0, 1), again, sizeof(again));
    cr_assert_arr_eq(first, again, sizeof(first));
    cr_assert_eq(qn_context_draw(ctx), drawn);
    cr_assert_neq(qn_context_draw(ctx), drawn);
}

Test(core, threads_are_checked) {
    cr_assert_eq(qn_context_set_threads(ctx, 3), QN_OK);
    cr_assert_eq(qn_context_threads(ctx), 3);
    cr_assert_eq(qn_context_set_threads(ctx, 0), QN_OK);
    cr_assert_geq(qn_context_threads(ctx), 1);
    cr_assert_eq(qn_context_set_threads(ctx, -1), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "threads: -1, expected 0 to 1024");
}
