/* test_stateful.c: operations that change something besides their output: running statistics and
 * the random state. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "quern.h"
#include "test_device.h"

static qn_context *ctx;

static void open_context(void) { ctx = qn_context_new(test_device()); }

static void close_context(void) { qn_context_free(ctx); }

TestSuite(stateful, .init = open_context, .fini = close_context);

static void expect_values(qn_tensor *x, const double *expected, int count, double tolerance) {
    double values[16];
    cr_assert_eq(qn_tensor_read(qn_cast(x, QN_F64), values, (size_t)count * sizeof(double)), QN_OK,
                 "%s", qn_context_message(ctx));
    for (int i = 0; i < count; i++)
        cr_assert_float_eq(values[i], expected[i], tolerance, "element %d is %.17g, expected %.17g",
                           i, values[i], expected[i]);
}

/* ---- batch_norm -------------------------------------------------------------------------- */

/* Two channels, four values each: means 2.5 and 10, sums of squared distances 5 and 80. */
static qn_tensor *batch(qn_dtype dtype) {
    const double values[8] = {1, 2, 4, 8, 3, 4, 12, 16};
    return qn_cast(qn_from_data(ctx, QN_F64, QN_SHAPE(2, 2, 2), values), dtype);
}

static void check_running_statistics(qn_dtype dtype) {
    qn_tensor *mean = qn_full(ctx, dtype, QN_SHAPE(2), 1);
    qn_tensor *var = qn_full(ctx, dtype, QN_SHAPE(2), 2);
    const qn_batch_norm_opts opts = {.momentum = 0.25, .epsilon = 1e-3};
    qn_tensor *y = qn_batch_norm(batch(dtype), NULL, NULL, mean, var, true, &opts);
    double rstd[2] = {1 / sqrt(5.0 / 4 + 1e-3), 1 / sqrt(80.0 / 4 + 1e-3)};
    expect_values(y,
                  (double[]){-1.5 * rstd[0], -0.5 * rstd[0], -6 * rstd[1], -2 * rstd[1],
                             0.5 * rstd[0], 1.5 * rstd[0], 2 * rstd[1], 6 * rstd[1]},
                  8, 1e-6);
    /* The running variance takes the unbiased estimate, the output the biased one. */
    expect_values(mean, (double[]){0.75 + 0.25 * 2.5, 0.75 + 0.25 * 10}, 2, 1e-6);
    expect_values(var, (double[]){1.5 + 0.25 * 5 / 3, 1.5 + 0.25 * 80 / 3}, 2, 1e-6);
}

Test(stateful, batch_norm_moves_the_running_statistics) {
    check_running_statistics(QN_F32);
    check_running_statistics(QN_F64);
}

Test(stateful, batch_norm_evaluation_uses_them_and_leaves_them) {
    qn_tensor *mean = qn_full(ctx, QN_F32, QN_SHAPE(2), 1);
    qn_tensor *var = qn_full(ctx, QN_F32, QN_SHAPE(2), 4);
    qn_tensor *x = qn_require_grad(batch(QN_F32));
    const qn_batch_norm_opts opts = {.epsilon = 1e-12};
    qn_tensor *y = qn_batch_norm(x, NULL, NULL, mean, var, false, &opts);
    expect_values(y, (double[]){0, 0.5, 1.5, 3.5, 1, 1.5, 5.5, 7.5}, 8, 1e-6);
    expect_values(mean, (double[]){1, 1}, 2, 0);
    expect_values(var, (double[]){4, 4}, 2, 0);
    /* The statistics are constants: each element's gradient is 1 / sqrt(var). */
    cr_assert_eq(qn_backward(qn_sum(y, QN_ALL, false)), QN_OK);
    expect_values(qn_grad(x), (double[]){.5, .5, .5, .5, .5, .5, .5, .5}, 8, 1e-6);
}

Test(stateful, batch_norm_backward_uses_the_statistics_of_its_own_call) {
    qn_tensor *mean = qn_zeros(ctx, QN_F32, QN_SHAPE(2)), *var = qn_ones(ctx, QN_F32, QN_SHAPE(2));
    qn_tensor *x = qn_require_grad(batch(QN_F32));
    const qn_batch_norm_opts opts = {.epsilon = 1e-12};
    qn_tensor *y = qn_batch_norm(x, NULL, NULL, mean, var, false, &opts);
    cr_assert_eq(qn_fill(var, 100), QN_OK);
    cr_assert_eq(qn_backward(qn_sum(y, QN_ALL, false)), QN_OK);
    expect_values(qn_grad(x), (double[]){1, 1, 1, 1, 1, 1, 1, 1}, 8, 1e-6);
}

/* ---- dropout ----------------------------------------------------------------------------- */

enum { ROWS = 300, COLUMNS = 101, COUNT = ROWS * COLUMNS };

static void read_floats(qn_tensor *x, float *values) {
    cr_assert_eq(qn_tensor_read(x, values, COUNT * sizeof(float)), QN_OK, "%s",
                 qn_context_message(ctx));
}

static int zeros_among(const float *values) {
    int zeros = 0;
    for (int i = 0; i < COUNT; i++)
        zeros += values[i] == 0;
    return zeros;
}

Test(stateful, dropout_drops_the_asked_fraction_and_scales_the_rest) {
    static float values[COUNT];
    const double probabilities[] = {0.1, 0.5, 0.8};
    for (int i = 0; i < 3; i++) {
        double p = probabilities[i];
        read_floats(qn_dropout(qn_ones(ctx, QN_F32, QN_SHAPE(ROWS, COLUMNS)), p, true), values);
        /* Five standard deviations of the binomial distribution. */
        double spread = 5 * sqrt(p * (1 - p) / COUNT);
        cr_assert_float_eq(zeros_among(values) / (double)COUNT, p, spread);
        for (int j = 0; j < COUNT; j++)
            cr_assert(values[j] == 0 || fabs(values[j] - 1 / (1 - p)) < 1e-5);
    }
}

Test(stateful, dropout_backward_has_the_mask_of_forward) {
    static float first[COUNT], second[COUNT], gradient[COUNT];
    qn_tensor *x = qn_require_grad(qn_ones(ctx, QN_F32, QN_SHAPE(ROWS, COLUMNS)));
    qn_tensor *y = qn_dropout(x, 0.3, true);
    read_floats(qn_dropout(x, 0.3, true), second); /* the stream has gone on when y goes back */
    read_floats(y, first);
    cr_assert(memcmp(first, second, sizeof(first)) != 0);
    cr_assert_eq(qn_backward(qn_sum(y, QN_ALL, false)), QN_OK);
    read_floats(qn_grad(x), gradient);
    cr_assert_arr_eq(gradient, first, sizeof(first));
}

Test(stateful, dropout_numbers_elements_in_the_outputs_order) {
    static float rows[COUNT], columns[COUNT];
    qn_tensor *x = qn_uniform(ctx, QN_F32, QN_SHAPE(ROWS, COLUMNS), 1, 2);
    qn_tensor *view = qn_transpose(qn_contiguous(qn_transpose(x, 0, 1)), 0, 1);
    qn_context_seed(ctx, 4);
    read_floats(qn_dropout(x, 0.5, true), rows);
    qn_context_seed(ctx, 4);
    read_floats(qn_dropout(view, 0.5, true), columns);
    cr_assert_arr_eq(rows, columns, sizeof(rows));
}

Test(stateful, dropout_takes_a_block_of_the_stream_for_four_elements) {
    qn_context_seed(ctx, 9);
    uint64_t before = qn_context_random(ctx).counter;
    cr_assert_not_null(qn_dropout(qn_ones(ctx, QN_F32, QN_SHAPE(3, 3)), 0.5, true));
    cr_assert_eq(qn_context_random(ctx).counter, before + 3);
}

Test(stateful, dropout_at_its_ends) {
    static float values[COUNT];
    qn_tensor *x = qn_full(ctx, QN_F32, QN_SHAPE(ROWS, COLUMNS), INFINITY);
    cr_assert_eq(qn_dropout(x, 0.5, false), x);
    cr_assert_eq(qn_dropout(x, 0, true), x);
    read_floats(qn_dropout(x, 1, true), values);
    cr_assert_eq(zeros_among(values), COUNT);
}
