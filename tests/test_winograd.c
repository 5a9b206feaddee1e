/* test_winograd.c: 3x3 convolutions large enough for Winograd's form (kernels/simd/simd_winograd.h), and their
 * gradients, against sums in f64: odd extents, any padding, groups, layouts, and the same bits on any number of threads.
 *
 * The bound is on the greatest error of a call, as part of its greatest value: half of 2^-24 times the root of the
 * terms of a sum. The direct sum, term after term, does not keep it. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op_table.h"

/* x [n, c, h, w], w [o, c / groups, 3, 3]. */
typedef struct shape {
    int n, c, h, w, o, groups, padding[2];
    bool transposed; /* x lies with its last two axes exchanged */
} shape;

static const shape shapes[] = {
    {2, 32, 12, 13, 33, 1, {1, 1}, false}, {3, 37, 11, 14, 39, 1, {0, 0}, false},
    {1, 64, 28, 28, 64, 1, {1, 1}, false}, {9, 40, 14, 14, 32, 1, {2, 1}, false},
    {2, 32, 6, 31, 50, 1, {1, 0}, true},   {2, 96, 10, 9, 68, 2, {1, 1}, false},
    {1, 32, 40, 70, 32, 1, {0, 2}, true},
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
    qn_tensor *w = leaf(ctx, dtype, QN_SHAPE(s->o, s->c / s->groups, 3, 3), 2);
    qn_tensor *bias = leaf(ctx, dtype, QN_SHAPE(s->o), 3);
    const qn_conv2d_opts opts = {.padding = {s->padding[0], s->padding[1]}, .groups = s->groups};
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

static void check(const shape *s, const char *isa) {
    results exact = convolve(s, "ref", NULL, 2, QN_F64), one = convolve(s, NULL, isa, 1, QN_F32);
    results three = convolve(s, NULL, isa, 3, QN_F32);
    for (int i = 0; i < 2; i++) { /* the weight's gradient has another form, and other sums */
        const int terms = 9 * (i == 0 ? s->c : s->o) / s->groups;
        const double bound = 0.25 * FLT_EPSILON * sqrt(terms);
        const double error = error_of(&one, &exact, i);
        cr_expect_lt(error, bound, "%s, [%d, %d, %d, %d], result %d: error %g", isa ? isa : "best",
                     s->n, s->c, s->h, s->w, i, error);
    }
    for (int i = 0; i < RESULTS; i++)
        cr_expect_arr_eq(one.values[i], three.values[i], (size_t)one.count[i] * sizeof(double),
                         "[%d, %d, %d, %d], result %d", s->n, s->c, s->h, s->w, i);
    free_results(&exact);
    free_results(&one);
    free_results(&three);
}

/* What is not finite makes all outputs of the tiles that read it so, and no others. */
static void plant(double special) {
    enum { SIDE = 12, AT = 5, CHANNELS = 32 };
    qn_context *ctx = op_context(NULL, NULL);
    qn_tensor *w = qn_normal(ctx, QN_F32, QN_SHAPE(CHANNELS, CHANNELS, 3, 3), 0, 1);
    static float x[CHANNELS][SIDE][SIDE];
    x[3][AT][AT] = (float)special;
    qn_tensor *in = qn_from_data(ctx, QN_F32, QN_SHAPE(1, CHANNELS, SIDE, SIDE), x);
    double *y = op_values(qn_conv2d(in, w, NULL, &(qn_conv2d_opts){.padding = {1, 1}}));
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            const double value = y[i * SIDE + j];
            if (abs(i - AT) <= 1 && abs(j - AT) <= 1)
                cr_expect(!isfinite(value), "%g: output %d, %d is %g", special, i, j, value);
            if (abs(i - AT) > 2 || abs(j - AT) > 2)
                cr_expect_eq(value, 0, "%g: output %d, %d is %g", special, i, j, value);
        }
    free(y);
    qn_context_free(ctx);
}

Test(winograd, what_is_not_finite_stays_so) {
    plant(NAN);
    plant(INFINITY);
    plant(-INFINITY);
}

Test(winograd, results_are_those_of_the_sum) {
    for (int i = 0; i < SHAPES; i++) {
        check(&shapes[i], "avx2");
        check(&shapes[i], NULL);
    }
}
