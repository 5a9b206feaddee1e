/* test_products.c: the epilogues of products, convolutions and batch normalisation: bias and ReLU
 * in one pass with them; denormal numbers.
 *
 * No public call asks for the ReLU: plans do (plan_epilogue.c). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "op_table.h"

/* Values of max(a b + bias, 0), the pieces one after the other. */
static double *in_pieces(qn_tensor *a, qn_tensor *b, qn_tensor *bias) {
    qn_tensor *y = qn_matmul(a, b);
    return op_values(qn_relu(bias ? qn_add(y, bias) : y));
}

static void check(qn_context *ctx, int64_t m, int64_t k, int64_t n, bool has_bias) {
    qn_tensor *a = qn_normal(ctx, QN_F32, QN_SHAPE(m, k), 0, 1);
    qn_tensor *b = qn_transpose(qn_normal(ctx, QN_F32, QN_SHAPE(n, k), 0, 1), 0, 1);
    qn_tensor *bias = has_bias ? qn_normal(ctx, QN_F32, QN_SHAPE(n), 0, 1) : NULL;
    qn_tensor *in[] = {a, b, bias};
    const qn_matmul_attrs attrs = {.relu = 1};
    qn_tensor *y = qni_apply(&qni_op_matmul, in, 3, &attrs);
    cr_assert_not_null(y, "%s", qn_context_message(ctx));
    double *got = op_values(y), *expected = in_pieces(a, b, bias);
    for (int64_t i = 0; i < m * n; i++)
        cr_assert_float_eq(got[i], expected[i], 1e-4, "[%lld, %lld] x [%lld, %lld], element %lld",
                           (long long)m, (long long)k, (long long)k, (long long)n, (long long)i);
    free(got);
    free(expected);
    qn_step_end(ctx);
}

static void check_equal(qn_tensor *y, qn_tensor *plain, const char *what) {
    double *got = op_values(y), *expected = op_values(qn_relu(plain));
    for (int64_t i = 0; i < qn_tensor_count(y); i++)
        cr_assert_float_eq(got[i], expected[i], 1e-4, "%s, element %lld: %g, expected %g", what,
                           (long long)i, got[i], expected[i]);
    free(got);
    free(expected);
}

static void check_conv2d(qn_context *ctx, qn_dtype dtype, int channels, int kernel, int padding) {
    qn_tensor *x = qn_normal(ctx, dtype, QN_SHAPE(3, channels, 9, 7), 0, 1);
    qn_tensor *w = qn_normal(ctx, dtype, QN_SHAPE(channels + 1, channels, kernel, kernel), 0, 1);
    qn_tensor *in[] = {x, w, qn_normal(ctx, dtype, QN_SHAPE(channels + 1), 0, 1)};
    qn_conv2d_attrs attrs = {
        .stride = {1, 1}, .padding = {padding, padding}, .dilation = {1, 1}, .groups = 1};
    qn_tensor *plain = qni_apply(&qni_op_conv2d, in, 3, &attrs);
    attrs.relu = 1;
    check_equal(qni_apply(&qni_op_conv2d, in, 3, &attrs), plain, "conv2d");
}

static void check_batch_norm(qn_context *ctx, qn_dtype dtype, qn_shape shape, bool training) {
    const qn_shape channels = QN_SHAPE(shape.dim[1]);
    qn_tensor *in[] = {qn_normal(ctx, dtype, shape, 0, 1), NULL, NULL,
                       qn_zeros(ctx, dtype, channels), qn_ones(ctx, dtype, channels)};
    qn_norm_attrs attrs = {.epsilon = 1e-5, .momentum = 0.1, .training = training};
    qn_tensor *plain[3], *y[3];
    cr_assert_eq(qni_apply_all(&qni_op_batch_norm, in, 5, &attrs, plain), QN_OK);
    in[3] = qn_zeros(ctx, dtype, channels);
    in[4] = qn_ones(ctx, dtype, channels);
    attrs.relu = 1;
    cr_assert_eq(qni_apply_all(&qni_op_batch_norm, in, 5, &attrs, y), QN_OK);
    check_equal(y[0], plain[0], "batch_norm");
}

static void check_others(qn_context *ctx) {
    for (qn_dtype dtype = QN_F32; dtype <= QN_F64; dtype++) {
        check_conv2d(ctx, dtype, 4, 3, 1);
        check_conv2d(ctx, dtype, 4, 1, 0);
        check_conv2d(ctx, dtype, 48, 3, 1); /* in Winograd's form (simd_winograd.h) */
        for (int training = 0; training < 2; training++) {
            check_batch_norm(ctx, dtype, QN_SHAPE(3, 5, 4, 7), training);
            check_batch_norm(ctx, dtype, QN_SHAPE(11, 5), training);
        }
        qn_step_end(ctx);
    }
}

Test(products, relu_in_convolutions_and_batch_norm_is_that_after_them) {
    static const char *const ways[][2] = {{"ref", NULL}, {NULL, "avx2"}, {NULL, NULL}};
    for (int w = 0; w < 3; w++) {
        qn_context *ctx = op_context(ways[w][0], ways[w][1]);
        check_others(ctx);
        qn_context_free(ctx);
    }
}

Test(products, bias_and_relu_in_the_kernel_are_those_after_it) {
    static const char *const ways[][2] = {
        {"ref", NULL}, {"openblas,ref", NULL}, {NULL, "avx2"}, {NULL, NULL}};
    for (int w = 0; w < 4; w++) {
        qn_context *ctx = op_context(ways[w][0], ways[w][1]);
        for (int has_bias = 0; has_bias < 2; has_bias++) {
            check(ctx, 7, 5, 3, has_bias);
            check(ctx, 64, 130, 10, has_bias);
            check(ctx, 10, 130, 64, has_bias);
            check(ctx, 65, 300, 129, has_bias);
        }
        qn_context_free(ctx);
    }
}

/* ---- denormal numbers ---------------------------------------------------------------------- */

/* Sums of 64 numbers of 2^-127, which are 2^-121 where denormals count. */
static void check_denormal_sums(qn_context *ctx, int64_t rows, double expected) {
    qn_tensor *a = qn_full(ctx, QN_F32, QN_SHAPE(rows, 64), 0x1p-127);
    double *got = op_values(qn_matmul(a, qn_ones(ctx, QN_F32, QN_SHAPE(64, 64))));
    for (int64_t i = 0; i < rows * 64; i++)
        cr_assert_eq(got[i], expected, "%lld rows, element %lld: %g", (long long)rows, (long long)i,
                     got[i]);
    free(got);
    qn_step_end(ctx);
}

Test(products, denormal_numbers_are_zero_on_vectors_and_in_the_callers_thread_what_they_were) {
    static const char *const isas[] = {"baseline", "avx2", NULL};
    for (int i = 0; i < 3; i++) {
        qn_context *ctx = op_context(i == 0 ? "ref" : NULL, isas[i]);
        const bool vectors = strstr(qn_context_describe(ctx), "avx") != NULL;
        qn_context_set_threads(ctx, 4);
        check_denormal_sums(ctx, 3, vectors ? 0 : 0x1p-121);
        check_denormal_sums(ctx, 2048, vectors ? 0 : 0x1p-121); /* work for all threads */
        volatile float least = 0x1p-126F;
        cr_assert_gt(least / 2, 0);
        qn_context_free(ctx);
    }
}
