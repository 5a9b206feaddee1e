/* test_winograd.c: convolutions with 3x3 and 5x5 taps large enough for Winograd's form
 * (kernels/simd/simd_winograd.h), and their gradients, against sums in f64: odd extents, any
 * padding, groups, layouts, and the same bits on any number of threads.
 *
 * The bound is on the greatest error of a call, as part of its greatest value, in units of 2^-24
 * times the root of the terms of a sum. For 3x3 taps the direct sum, term after term, does not keep
 * that of outputs. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op_table.h"

/* x [n, c, h, w], w [o, c / groups, taps, taps]. */
typedef struct shape {
    int taps, n, c, h, w, o, groups, padding[2];
    bool transposed; /* x lies with its last two axes exchanged */
} shape;

static const shape shapes[] = {
    {3, 2, 32, 12, 13, 33, 1, {1, 1}, false}, {3, 3, 37, 11, 14, 39, 1, {0, 0}, false},
    {3, 1, 64, 28, 28, 64, 1, {1, 1}, false}, {3, 9, 40, 14, 14, 32, 1, {2, 1}, false},
    {3, 2, 32, 6, 31, 50, 1, {1, 0}, true},   {3, 2, 96, 10, 9, 68, 2, {1, 1}, false},
    {3, 1, 32, 40, 70, 32, 1, {0, 2}, true},  {5, 2, 32, 14, 14, 64, 1, {2, 2}, false},
    {5, 19, 35, 9, 11, 29, 1, {2, 1}, false}, {5, 1, 64, 13, 40, 33, 1, {0, 3}, true},
    {5, 3, 80, 8, 17, 72, 2, {4, 2}, false},
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]), RESULTS = 3 };

/* The output of a convolution with a bias, and its gradients by input and weight. */
typedef struct results {
    double *values[RESULTS];
    int64_t count[RESULTS];
} results;

static void free_results(results *r) {
    for (int i = 0; i < RESULTS; i++)
        free(r->values[i]);
}

static qn_tensor *leaf(qn_context *ctx, qn_dtype dtype, qn_shape dim, uint64_t seed) {
    qn_context_seed(ctx, seed);
    qn_tensor *x = qn_normal(ctx, QN_F32, dim, 0, 1); /* the same numbers for both dtypes */
    return qn_require_grad(qn_keep(dtype == QN_F32 ? x : qn_cast(x, dtype)));
}

static void take(results *r, int i, const qn_tensor *x) {
    r->values[i] = op_values(x);
    r->count[i] = qn_tensor_count(x);
}

static results convolve(const shape *s, const char *providers, const char *isa, int threads,
                        qn_dtype dtype) {
    qn_context *ctx = op_context(providers, isa);
    qn_context_set_threads(ctx, threads);
    const qn_shape dim =
        s->transposed ? QN_SHAPE(s->n, s->c, s->w, s->h) : QN_SHAPE(s->n, s->c, s->h, s->w);
    qn_tensor *x = leaf(ctx, dtype, dim, 1);
    qn_tensor *w = leaf(ctx, dtype, QN_SHAPE(s->o, s->c / s->groups, s->taps, s->taps), 2);
    qn_tensor *bias = leaf(ctx, dtype, QN_SHAPE(s->o), 3);
    const int right = s->padding[1] == 0 ? QN_NO_PADDING : s->padding[1];
    const qn_conv2d_opts opts = {.padding = {s->padding[0], right}, .groups = s->groups};
    qn_tensor *y = qn_conv2d(s->transposed ? qn_transpose(x, 2, 3) : x, w, bias, &opts);
    cr_assert_not_null(y, "%s", qn_context_message(ctx));
    results r = {{0}, {0}};
    take(&r, 0, y);
    cr_assert_eq(qn_backward(qn_sum(qn_mul(y, y), QN_ALL, false)), QN_OK);
    take(&r, 1, qn_grad(x));
    take(&r, 2, qn_grad(w));
    qn_context_free(ctx);
    return r;
}

/* The greatest distance, as part of the greatest value. */
static double error_of(const results *a, const results *b, int i) {
    double worst = 0, most = 0;
    cr_assert_eq(a->count[i], b->count[i]);
    for (int64_t k = 0; k < a->count[i]; k++) {
        worst = fmax(worst, fabs(a->values[i][k] - b->values[i][k]));
        most = fmax(most, fabs(b->values[i][k]));
    }
    return worst / most;
}

/* Terms of a sum of each result. */
static double terms_of(const shape *s, int result) {
    const int spread[2] = {2 * s->padding[0] - s->taps + 1, 2 * s->padding[1] - s->taps + 1};
    const double taps = s->taps * s->taps, groups = s->groups;
    const double terms[RESULTS] = {taps * s->c / groups, taps * s->o / groups,
                                   (double)s->n * (s->h + spread[0]) * (s->w + spread[1])};
    return terms[result];
}

/* Bounds of outputs and input gradients, and of weight gradients. */
static double bound_of(const shape *s, int result) {
    if (s->taps == 3)
        return result < 2 ? 0.5 : 0.9;
    return result < 2 ? 0.9 : 2;
}

static void check(const shape *s, const char *isa) {
    results exact = convolve(s, "ref", NULL, 2, QN_F64), one = convolve(s, NULL, isa, 1, QN_F32);
    results three = convolve(s, NULL, isa, 3, QN_F32);
    for (int i = 0; i < RESULTS; i++) {
        const double unit = 0.5 * FLT_EPSILON * sqrt(terms_of(s, i));
        const double error = error_of(&one, &exact, i);
        cr_expect_lt(error, bound_of(s, i) * unit,
                     "%s, %dx%d, [%d, %d, %d, %d], result %d: error %g", isa ? isa : "best",
                     s->taps, s->taps, s->n, s->c, s->h, s->w, i, error);
        cr_expect_arr_eq(one.values[i], three.values[i], (size_t)one.count[i] * sizeof(double),
                         "[%d, %d, %d, %d], result %d", s->n, s->c, s->h, s->w, i);
    }
    free_results(&exact);
    free_results(&one);
    free_results(&three);
}

enum { IMAGES = 16, SIDE = 12, AT = 5, CHANNELS = 32 };

/* [IMAGES, CHANNELS, SIDE, SIDE] of zeros and one special value in the middle of a channel. */
static qn_tensor *with_special(qn_context *ctx, double special) {
    static float x[IMAGES][CHANNELS][SIDE][SIDE];
    x[0][3][AT][AT] = (float)special;
    return qn_from_data(ctx, QN_F32, QN_SHAPE(IMAGES, CHANNELS, SIDE, SIDE), x);
}

/* What is not finite makes all outputs that read it so, and no others. */
static void plant(qn_context *ctx, double special, int taps) {
    const int reach = taps / 2;
    qn_tensor *w = qn_normal(ctx, QN_F32, QN_SHAPE(CHANNELS, CHANNELS, taps, taps), 0, 1);
    double *y = op_values(
        qn_conv2d(with_special(ctx, special), w, NULL, &(qn_conv2d_opts){.padding = {reach}}));
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            const double value = y[i * SIDE + j];
            if (fmax(abs(i - AT), abs(j - AT)) <= reach)
                cr_expect(!isfinite(value), "%g: output %d, %d is %g", special, i, j, value);
            else
                cr_expect_eq(value, 0, "%g: output %d, %d is %g", special, i, j, value);
        }
    free(y);
}

Test(winograd, what_is_not_finite_stays_where_it_is) {
    qn_context *ctx = op_context(NULL, NULL);
    for (int taps = 3; taps <= 5; taps += 2) {
        plant(ctx, NAN, taps);
        plant(ctx, INFINITY, taps);
        plant(ctx, -INFINITY, taps);
    }
    qn_context_free(ctx);
}

static int count_nan(const qn_tensor *x) {
    double *values = op_values(x);
    int count = 0;
    for (int64_t i = 0; i < qn_tensor_count(x); i++)
        count += isnan(values[i]);
    free(values);
    return count;
}

/* A sum with one infinite term is infinite; differences of tiles with an infinite element are NaN.
 * So NaN tells that all three passes are in this form here, and the other tests mean something. */
Test(winograd, all_passes_are_in_this_form) {
    qn_context *ctx = op_context(NULL, NULL);
    for (int taps = 3; taps <= 5; taps += 2) {
        qn_tensor *x = leaf(ctx, QN_F32, QN_SHAPE(IMAGES, CHANNELS, SIDE, SIDE), 1);
        qn_tensor *w = leaf(ctx, QN_F32, QN_SHAPE(CHANNELS, CHANNELS, taps, taps), 2);
        const qn_conv2d_opts opts = {.padding = {taps / 2}};
        qn_tensor *y = qn_conv2d(x, w, NULL, &opts);
        cr_expect_gt(count_nan(qn_conv2d(with_special(ctx, INFINITY), w, NULL, &opts)), 0);
        cr_assert_eq(qn_backward(qn_sum(qn_mul(y, with_special(ctx, INFINITY)), QN_ALL, false)),
                     QN_OK);
        cr_expect_gt(count_nan(qn_grad(x)), 0);
        cr_expect_gt(count_nan(qn_grad(w)), 0);
    }
    qn_context_free(ctx);
}

/* relu(conv2d(x, w)), of in = {x, w}. */
static qn_status rectified(void *data, qn_tensor *const *in, qn_tensor **out) {
    const qn_conv2d_opts opts = {.padding = {1}};
    (void)data;
    out[0] = qn_relu(qn_conv2d(in[0], in[1], NULL, &opts));
    return out[0] ? QN_OK : QN_INVALID_ARGUMENT;
}

Test(winograd, relu_behind_it_is_that_of_the_step_as_it_is) {
    enum { RUNS = 4 }; /* as it is, recorded twice, replayed */
    qn_context *ctx = op_context(NULL, NULL);
    qn_tensor *in[] = {qn_keep(qn_normal(ctx, QN_F32, QN_SHAPE(2, CHANNELS, SIDE, SIDE), 0, 1)),
                       qn_keep(qn_normal(ctx, QN_F32, QN_SHAPE(CHANNELS, CHANNELS, 3, 3), 0, 1))};
    qn_tensor *expected;
    cr_assert_eq(rectified(NULL, in, &expected), QN_OK, "%s", qn_context_message(ctx));
    double *as_it_is = op_values(expected);
    qn_plan *plan = qn_plan_new(ctx, rectified, NULL);
    for (int run = 0; run < RUNS; run++) {
        qn_tensor *y;
        cr_assert_eq(qn_plan_run(plan, in, 2, &y, 1), QN_OK, "%s", qn_context_message(ctx));
        double *got = op_values(y);
        cr_expect_arr_eq(got, as_it_is, (size_t)qn_tensor_count(y) * sizeof(double), "run %d", run);
        free(got);
    }
    cr_expect_gt(qn_plan_stats(plan).fused, 0, "the convolution does the relu");
    free(as_it_is);
    qn_context_free(ctx);
}

Test(winograd, results_are_those_of_the_sum) {
    for (int i = 0; i < SHAPES; i++) {
        check(&shapes[i], "avx2");
        check(&shapes[i], NULL);
    }
}
