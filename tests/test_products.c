/* test_products.c: the epilogue of the product kernels, bias and ReLU in one pass with the product.
 *
 * No public call asks for the ReLU: it is there for fusion. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "internal.h"
#include "op_table.h"

extern const qni_op qni_op_matmul;

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
