/* test_sequence_ops.c: operations along time: what rows of the operation table do not say. */
#include <math.h>
#include <stdlib.h>

#include "with_context.h"

TestSuite(sequence_ops, .init = open_context, .fini = close_context);

static void expect_refusal(const void *result, qn_status status, const char *words) {
    cr_expect_null(result, "%s", words);
    expect_error(status, words);
}

/** x's elements, row-major, of f32; valid until the fourth call from here. */
static const float *elements(qn_tensor *x) {
    static float kept[4][4096];
    static int turn;
    float *values = kept[turn++ % 4];
    cr_assert_not_null(x, "%s", qn_context_message(ctx));
    const size_t bytes = (size_t)qn_tensor_count(x) * sizeof(*values);
    cr_assert_leq(bytes, sizeof(kept[0]));
    cr_assert_eq(qn_tensor_read(x, values, bytes), QN_OK, "%s", qn_context_message(ctx));
    return values;
}

static qn_tensor *from(qn_shape shape, const float *values) {
    return qn_from_data(ctx, QN_F32, shape, values);
}

#define FROM(shape, ...) from(shape, (const float[]){__VA_ARGS__})

static void expect_elements(qn_tensor *x, int count, const float *expected) {
    const float *got = elements(x);
    cr_assert_eq(qn_tensor_count(x), count);
    for (int i = 0; i < count; i++)
        cr_expect(got[i] == expected[i] || (isnan(got[i]) && isnan(expected[i])),
                  "element %d is %g, not %g", i, (double)got[i], (double)expected[i]);
}

#define EXPECT(x, count, ...) expect_elements(x, count, (const float[]){__VA_ARGS__})

/* ---- conv1d_max -------------------------------------------------------------------------- */

enum { BATCH = 3, CHANNELS = 5, FILTERS = 37, KERNEL = 3, LONGEST = 3, MOST_STEPS = 40 };
static const int64_t lengths_of[BATCH] = {LONGEST, 1, 2};

/** A batch [n, c, t] of these lengths, zeros behind them, and its outputs and gradients. Some
 * filters give nothing above 0, which is what a window in the padding gives. */
typedef struct padded_batch {
    qn_tensor *x, *weight, *y;
} padded_batch;

static padded_batch run_padded(int64_t steps, bool time_first) {
    static float values[BATCH][MOST_STEPS][CHANNELS];
    for (int n = 0; n < BATCH; n++)
        for (int t = 0; t < MOST_STEPS; t++)
            for (int c = 0; c < CHANNELS; c++)
                values[n][t][c] =
                    t < lengths_of[n] ? 1.5f + sinf((float)(n * 31 + t * 7 + c * 3)) : 0;
    qn_tensor *whole = from(QN_SHAPE(BATCH, MOST_STEPS, CHANNELS), &values[0][0][0]);
    qn_tensor *x = qn_contiguous(qn_slice(whole, 1, 0, steps));
    if (!time_first)
        x = qn_transpose(qn_contiguous(qn_transpose(x, 1, 2)), 1, 2);
    padded_batch batch = {.x = qn_require_grad(x)};
    qn_context_seed(ctx, 5);
    batch.weight =
        qn_require_grad(qn_normal(ctx, QN_F32, QN_SHAPE(FILTERS, CHANNELS, KERNEL), -0.5, 1));
    qn_tensor *lengths = qn_from_data(ctx, QN_I64, QN_SHAPE(BATCH), lengths_of);
    batch.y = qn_conv1d_max(qn_transpose(batch.x, 1, 2), batch.weight, NULL, lengths, KERNEL - 1);
    cr_assert_eq(qn_backward(qn_sum(qn_mul(batch.y, batch.y), QN_ALL, false)), QN_OK);
    return batch;
}

Test(sequence_ops, a_sample_does_not_depend_on_how_far_its_batch_is_padded) {
    const padded_batch near = run_padded(LONGEST, true), far = run_padded(MOST_STEPS, true);
    const padded_batch other = run_padded(23, false);
    expect_elements(far.y, BATCH * FILTERS, elements(near.y));
    expect_elements(other.y, BATCH * FILTERS, elements(near.y));
    const float *expected = elements(qn_grad(near.weight));
    expect_elements(qn_grad(far.weight), FILTERS * CHANNELS * KERNEL, expected);
    expect_elements(qn_grad(other.weight), FILTERS * CHANNELS * KERNEL, expected);
    expect_elements(qn_slice(qn_grad(far.x), 1, 0, LONGEST), BATCH * LONGEST * CHANNELS,
                    elements(qn_grad(near.x)));
    expect_elements(qn_slice(qn_grad(far.x), 1, LONGEST + KERNEL - 1, MOST_STEPS),
                    BATCH * (MOST_STEPS - LONGEST - KERNEL + 1) * CHANNELS,
                    elements(qn_zeros(ctx, QN_F32, QN_SHAPE(BATCH, MOST_STEPS, CHANNELS))));
}

Test(sequence_ops, a_length_below_one_counts_as_one) {
    qn_tensor *x = FROM(QN_SHAPE(3, 1, 4), 1, 9, 9, 9, 2, 9, 9, 9, 3, 4, 5, 6);
    qn_tensor *lengths =
        qn_from_data(ctx, QN_I64, QN_SHAPE(3), (int64_t[]){0, INT64_MIN, INT64_MAX});
    EXPECT(qn_conv1d_max(x, qn_ones(ctx, QN_F32, QN_SHAPE(1, 1, 1)), NULL, lengths, 0), 3, 1, 2, 6);
}

Test(sequence_ops, the_first_of_equal_windows_takes_the_gradient_and_nan_wins) {
    qn_tensor *x = qn_require_grad(FROM(QN_SHAPE(2, 1, 4), 1, 2, 2, 1, 3, NAN, 5, NAN));
    qn_tensor *y = qn_conv1d_max(x, qn_ones(ctx, QN_F32, QN_SHAPE(1, 1, 1)), NULL, NULL, 0);
    EXPECT(y, 2, 2, NAN);
    cr_assert_eq(qn_backward(qn_sum(qn_slice(y, 0, 0, 1), QN_ALL, false)), QN_OK);
    EXPECT(qn_grad(x), 8, 0, 1, 0, 0, 0, 0, 0, 0);
    qn_zero_grad(x);
    y = qn_conv1d_max(x, qn_ones(ctx, QN_F32, QN_SHAPE(1, 1, 1)), NULL, NULL, 0);
    cr_assert_eq(qn_backward(qn_sum(y, QN_ALL, false)), QN_OK);
    EXPECT(qn_grad(x), 8, 0, 1, 0, 0, 0, 1, 0, 0);
}

/* Lines one element longer than what a GPU's threads add up together. */
Test(sequence_ops, a_running_sum_does_not_stop_before_its_last_element) {
    enum { LENGTH = 33 };
    const float *sums = elements(qn_cumsum(qn_ones(ctx, QN_F32, QN_SHAPE(2, LENGTH)), 1));
    for (int i = 0; i < 2 * LENGTH; i++)
        cr_expect_eq(sums[i], (float)(i % LENGTH + 1), "element %d: %g", i, sums[i]);
}

/* ---- windows, order ---------------------------------------------------------------------- */

Test(sequence_ops, unfold_copies_nothing_and_fold_adds_what_overlaps) {
    qn_tensor *x = qn_require_grad(FROM(QN_SHAPE(5), 0, 1, 2, 3, 4));
    qn_tensor *windows = qn_unfold(x, 0, 3, 1);
    cr_expect_eq(qn_tensor_data(windows), qn_tensor_data(x));
    EXPECT(windows, 9, 0, 1, 2, 1, 2, 3, 2, 3, 4);
    cr_assert_eq(qn_backward(qn_sum(windows, QN_ALL, false)), QN_OK);
    EXPECT(qn_grad(x), 5, 1, 2, 3, 2, 1);
    EXPECT(qn_unfold(x, -1, 2, INT64_MAX), 2, 0, 1);
}

Test(sequence_ops, windows_that_overlap_are_not_written_to) {
    qn_tensor *x = qn_zeros(ctx, QN_F32, QN_SHAPE(6));
    cr_expect_eq(qn_fill(qn_unfold(x, 0, 3, 2), 1), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "fill: cannot write to [2, 3], which repeats elements");
    cr_expect_eq(qn_fill(qn_unfold(x, 0, 2, 3), 1), QN_OK);
    EXPECT(x, 6, 1, 1, 0, 1, 1, 0);
}

Test(sequence_ops, equal_elements_keep_their_order_and_nan_is_greatest) {
    qn_tensor *x = FROM(QN_SHAPE(2, 6), 2, NAN, 1, 2, -INFINITY, 1, 0, -0.0f, INFINITY, NAN, 0, 3);
    qn_tensor *index;
    EXPECT(qn_sort(x, 1, false, &index), 12, -INFINITY, 1, 1, 2, 2, NAN, 0, -0.0f, 0, 3, INFINITY,
           NAN);
    EXPECT(qn_cast(index, QN_F32), 12, 4, 2, 5, 0, 3, 1, 0, 1, 4, 5, 2, 3);
    EXPECT(qn_sort(x, 1, true, &index), 12, NAN, 2, 2, 1, 1, -INFINITY, NAN, INFINITY, 3, 0, -0.0f,
           0);
    EXPECT(qn_cast(index, QN_F32), 12, 1, 0, 3, 2, 5, 4, 3, 2, 5, 0, 1, 4);
}

/* ---- layers ------------------------------------------------------------------------------ */

Test(sequence_ops, conv1d_layer_computes_the_operation_and_names_its_tensors) {
    qn_module *layer =
        qn_nn_conv1d(ctx, 4, 6, 3, &(qn_conv1d_opts){.padding = 2, .dilation = 2, .groups = 2});
    qn_tensor *weight = qn_module_find(layer, "weight"), *bias = qn_module_find(layer, "bias");
    cr_assert(weight && bias);
    cr_expect_eq(qn_tensor_dim(weight, 1), 2);
    qn_tensor *x = qn_normal(ctx, QN_F32, QN_SHAPE(2, 4, 9), 0, 1), *y = qn_forward(layer, x);
    cr_expect_eq(qn_tensor_dim(y, 2), 9);
    expect_elements(
        y, 2 * 6 * 9,
        elements(qn_conv1d(x, weight, bias,
                           &(qn_conv1d_opts){.padding = 2, .dilation = 2, .groups = 2})));
    qn_module *bare = qn_nn_conv1d(ctx, 4, 6, 3, &(qn_conv1d_opts){.no_bias = true});
    cr_expect_null(qn_module_find(bare, "bias"));
}

Test(sequence_ops, instance_norm_layer_gives_each_channel_mean_0_and_variance_1) {
    qn_module *layer = qn_nn_instance_norm(ctx, 3, 0);
    qn_tensor *y = qn_forward(layer, qn_normal(ctx, QN_F32, QN_SHAPE(2, 3, 50), 4, 3));
    const float *mean = elements(qn_mean(y, QN_AXES(2), false));
    const float *variance = elements(qn_var(y, QN_AXES(2), 0, false));
    for (int i = 0; i < 6; i++) {
        cr_expect_float_eq(mean[i], 0, 1e-5);
        cr_expect_float_eq(variance[i], 1, 1e-4);
    }
}

Test(sequence_ops, rev_in_gives_back_what_it_took_away_also_in_the_next_step) {
    qn_module *layer = qn_nn_rev_in(ctx, 3);
    cr_assert_eq(qn_fill(qn_module_find(layer, "weight"), 0.5), QN_OK);
    cr_assert_eq(qn_fill(qn_module_find(layer, "bias"), 0.25), QN_OK);
    qn_tensor *x = qn_keep(qn_normal(ctx, QN_F32, QN_SHAPE(4, 20, 3), 7, 2));
    qn_tensor *y = qn_keep(qn_contiguous(qn_forward(layer, x)));
    cr_expect_float_eq(qn_item(qn_mean(y, QN_ALL, false)), 0.25, 1e-5);
    qn_step_end(ctx);
    const float *restored = elements(qn_nn_rev_in_restore(layer, y));
    const float *expected = elements(x);
    for (int i = 0; i < 4 * 20 * 3; i++)
        cr_expect_float_eq(restored[i], expected[i], 1e-4);
}

Test(sequence_ops, rev_in_keeps_the_statistics_of_one_forward_only) {
    qn_module *layer = qn_nn_rev_in(ctx, 3);
    qn_tensor *x = qn_keep(qn_normal(ctx, QN_F32, QN_SHAPE(4, 20, 3), 7, 2));
    size_t in_use = 0;
    for (int step = 0; step < 4; step++) {
        qn_tensor *y = qn_nn_rev_in_restore(layer, qn_forward(layer, qn_forward(layer, x)));
        cr_assert_eq(qn_backward(qn_sum(y, QN_ALL, false)), QN_OK);
        qn_step_end(ctx);
        if (step > 0)
            cr_expect_eq(qn_memory_stats(ctx).in_use, in_use);
        in_use = qn_memory_stats(ctx).in_use;
    }
}

Test(sequence_ops, no_gradient_flows_through_the_statistics_of_rev_in) {
    qn_module *layer = qn_nn_rev_in(ctx, 1);
    qn_tensor *x = qn_require_grad(FROM(QN_SHAPE(1, 2, 1), 1, 3)); /* mean 2, deviation 1 */
    cr_assert_eq(qn_backward(qn_sum(qn_forward(layer, x), QN_ALL, false)), QN_OK);
    const float *grad = elements(qn_grad(x));
    cr_expect_float_eq(grad[0], 1, 1e-4);
    cr_expect_float_eq(grad[1], 1, 1e-4);
}

/* ---- refusals ---------------------------------------------------------------------------- */

#define ONES(...) qn_ones(ctx, QN_F32, QN_SHAPE(__VA_ARGS__))

Test(sequence_ops, convolutions_that_cannot_be) {
    expect_refusal(qn_conv1d(ONES(3, 8), ONES(4, 3, 3), NULL, NULL), QN_SHAPE_MISMATCH,
                   "conv1d: expects x [n, c, t] and weight [o, c / groups, k], got [3, 8] and "
                   "[4, 3, 3]");
    expect_refusal(qn_conv1d_max(ONES(2, 5, 8), ONES(4, 3, 3), NULL, NULL, 0), QN_SHAPE_MISMATCH,
                   "conv1d_max: input has 5 channels but weight expects 3: [2, 8, 5] x [4, 3, 3]");
    expect_refusal(qn_conv1d_max(ONES(2, 3, 2), ONES(4, 3, 5), NULL, NULL, 1), QN_SHAPE_MISMATCH,
                   "conv1d_max: a window of 5 is larger than the padded length of 4: [2, 2, 3]");
    expect_refusal(qn_conv1d_max(ONES(2, 3, 8), ONES(4, 3, 3), NULL, NULL, -1), QN_INVALID_ARGUMENT,
                   "conv1d_max: padding must not be negative");
    expect_refusal(qn_conv1d_max(ONES(2, 3, 8), ONES(4, 3, 3), NULL, ONES(2), 0), QN_DTYPE_MISMATCH,
                   "conv1d_max: input 3 must be i64, got f32");
    expect_refusal(qn_nn_conv1d(ctx, 3, 4, 0, NULL), QN_INVALID_ARGUMENT,
                   "conv1d: in, out and kernel must be at least 1");
}

Test(sequence_ops, windows_and_levels_that_cannot_be) {
    expect_refusal(qn_moving_average(ONES(2, 8), 1, 4), QN_INVALID_ARGUMENT,
                   "moving_average: window must be odd and at least 1, got 4");
    expect_refusal(qn_unfold(ONES(2, 8), 1, 9, 1), QN_INVALID_ARGUMENT,
                   "unfold: no windows of 9, one every 1, on axis 1");
    expect_refusal(qn_unfold(ONES(2, 8), 1, 3, 0), QN_INVALID_ARGUMENT,
                   "unfold: no windows of 3, one every 0, on axis 1");
    expect_refusal(qn_quantile_loss(ONES(2, 2), ONES(2), (const double[]){0.5, 1.5}, 2),
                   QN_INVALID_ARGUMENT, "quantile_loss: level 1 must be within 0 and 1, got 1.5");
    expect_refusal(qn_quantile_loss(ONES(2, 3), ONES(2), (const double[]){0.5, 0.9}, 2),
                   QN_SHAPE_MISMATCH, "quantile_loss: for 2 levels predictions are [..., 2]");
    expect_refusal(qn_instance_norm(ONES(2, 3), NULL, NULL, 1e-5), QN_INVALID_ARGUMENT,
                   "instance_norm: expects x [n, c, ...]");
}

Test(sequence_ops, rev_in_restores_only_what_it_normalised) {
    qn_module *layer = qn_nn_rev_in(ctx, 3), *other = qn_nn_relu(ctx);
    expect_refusal(qn_nn_rev_in_restore(layer, ONES(2, 4, 3)), QN_INVALID_ARGUMENT,
                   "rev_in: restore needs a rev_in module that has normalised a series");
    expect_refusal(qn_nn_rev_in_restore(other, ONES(2, 4, 3)), QN_INVALID_ARGUMENT, "got relu");
    expect_refusal(qn_nn_rev_in(ctx, 0), QN_INVALID_ARGUMENT,
                   "rev_in: channels must be at least 1, got 0");
    expect_refusal(qn_nn_instance_norm(ctx, 0, 0), QN_INVALID_ARGUMENT, "instance_norm: needs");
}
