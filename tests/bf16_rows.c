/* bf16_rows.c: what products in bf16 should give, and whether a context
 * gives it (see bf16_rows.h). */
#include "bf16_rows.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPERANDS = 2, SPEC_SIZE = 48 };

double bf16_nearest(double x) {
    enum { BITS = 8 };
    int exponent;
    if (!isfinite(x) || x == 0)
        return x;
    if (fabs(x) < 0x1p-126)
        return copysign(0, x);
    double mantissa = frexp(x, &exponent);
    double nearest = ldexp(nearbyint(ldexp(mantissa, BITS)), exponent - BITS);
    return fabs(nearest) < 0x1p128 ? nearest : copysign(INFINITY, x);
}

bool bf16_is_product(const op_case *row) {
    static const char *const starts[] = {"matmul", "linear", "conv2d", "conv1d"};
    if (strncmp(row->id, "conv1d_max", 10) == 0)
        return false; /* computed in f32 whatever the precision */
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (strncmp(row->id, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* ---- what is expected ---------------------------------------------------------------------- */

static void round_values(double *values, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        values[i] = bf16_nearest(values[i]);
}

/** Runs a row in f64 with the gradient of its output rounded or not. */
static op_outcome run_in_f64(qn_context *ctx, const op_case *row, const op_inputs *inputs,
                             bool rounded_gradient) {
    qn_tensor *x[OP_MAX_INPUTS];
    op_tensors(ctx, inputs, QN_F64, CONTIGUOUS, true, x);
    qn_tensor *y = row->call(x);
    cr_assert_not_null(y, "%s: %s", row->id, qn_context_message(ctx));
    op_outcome o = {.output = op_take(y)};
    op_result g = op_take(op_weights(ctx, y));
    if (rounded_gradient)
        round_values(g.values, g.count);
    qn_tensor *weights = qn_from_data(ctx, QN_F64, qn_tensor_shape(y), g.values);
    cr_assert_eq(qn_backward(qn_sum(qn_mul(y, weights), QN_ALL, false)), QN_OK, "%s: %s", row->id,
                 qn_context_message(ctx));
    for (int i = 0; i < inputs->count; i++)
        o.grad[i] = op_take(qn_grad(x[i]));
    free(g.values);
    qn_step_end(ctx);
    return o;
}

op_outcome bf16_expected(const op_case *row, const op_inputs *inputs) {
    qn_context *ctx = op_context("ref", NULL);
    op_inputs rounded = *inputs;
    for (int i = 0; i < OPERANDS; i++) {
        size_t bytes = (size_t)inputs->input[i].count * sizeof(double);
        rounded.input[i].values = malloc(bytes + 1);
        cr_assert_not_null(rounded.input[i].values);
        memcpy(rounded.input[i].values, inputs->input[i].values, bytes);
        round_values(rounded.input[i].values, inputs->input[i].count);
    }
    op_outcome o = run_in_f64(ctx, row, &rounded, true);
    if (inputs->count > OPERANDS) { /* a bias: its gradient is a sum, not a product */
        op_outcome plain = run_in_f64(ctx, row, &rounded, false);
        op_result swap = o.grad[OPERANDS];
        o.grad[OPERANDS] = plain.grad[OPERANDS];
        plain.grad[OPERANDS] = swap;
        op_outcome_free(&plain);
    }
    for (int i = 0; i < OPERANDS; i++)
        free(rounded.input[i].values);
    qn_context_free(ctx);
    return o;
}

bool bf16_is_right(qn_context *ctx, const op_case *row, const char *const *specs, op_layout layout,
                   char *difference, size_t size) {
    op_inputs inputs = op_inputs_make(specs, 31);
    op_outcome expected = bf16_expected(row, &inputs);
    op_outcome got = op_run(ctx, row, &inputs, QN_F32, layout);
    bool alike = op_outcomes_alike(&expected, &got, 1e-5, difference, size);
    op_outcome_free(&got);
    op_outcome_free(&expected);
    op_inputs_free(&inputs);
    return alike;
}

/* ---- edges of tiles ------------------------------------------------------------------------ */

static const op_case *row_named(const char *id) {
    for (int i = 0; i < op_case_count; i++)
        if (strcmp(op_cases[i].id, id) == 0)
            return &op_cases[i];
    cr_assert_fail("op_cases.def has no row %s", id);
    return NULL;
}

static bool products_are_right(qn_context *ctx, int m, int k, int n, char *difference,
                               size_t size) {
    char left[SPEC_SIZE], right[SPEC_SIZE], weight[SPEC_SIZE], bias[SPEC_SIZE];
    char image[SPEC_SIZE], filters[SPEC_SIZE];
    snprintf(left, SPEC_SIZE, "%dx%d", m, k);
    snprintf(right, SPEC_SIZE, "%dx%d", k, n);
    snprintf(weight, SPEC_SIZE, "%dx%d", n, k);
    snprintf(bias, SPEC_SIZE, "%d", n);
    snprintf(image, SPEC_SIZE, "2x%dx2x%d", k, m);
    snprintf(filters, SPEC_SIZE, "%dx%dx3x3", n, k);
    const struct {
        const char *id;
        const char *specs[4];
    } products[] = {{"matmul", {left, right}},
                    {"linear", {left, weight, bias}},
                    {"conv2d", {image, filters, bias}}};
    for (int i = 0; i < 3; i++) {
        if (bf16_is_right(ctx, row_named(products[i].id), products[i].specs, CONTIGUOUS, difference,
                          size))
            continue;
        size_t used = strlen(difference);
        snprintf(difference + used, size - used, " (%s of m %d, k %d, n %d)", products[i].id, m, k,
                 n);
        return false;
    }
    return true;
}

bool bf16_edges_are_right(qn_context *ctx, char *difference, size_t size) {
    enum { MOST = 33 }; /* without a common divisor with 5 and 7, so that k and n go through all */
    for (int i = 0; i < MOST; i++)
        if (!products_are_right(ctx, i + 1, i * 7 % MOST + 1, i * 5 % MOST + 1, difference, size))
            return false;
    return true;
}

/* ---- special values ------------------------------------------------------------------------ */

bool bf16_special_values_are_right(qn_context *ctx) {
    static const float values[] = {0,         -0.0f,      1,        -1,
                                   INFINITY,  -INFINITY,  NAN,      0x1p-126f,
                                   0x1p-127f, -0x1p-149f, 0x1p127f, 0x1.fffffep127f,
                                   0x1.01p0f, 0x1.03p0f,  0x1p-60f, -0x1.ff01p3f};
    enum { COUNT = sizeof(values) / sizeof(values[0]) };
    /* [COUNT, 1] x [1, COUNT]: each product alone; a sum would hide where NaN comes from. */
    qn_tensor *column = qn_from_data(ctx, QN_F32, QN_SHAPE(COUNT, 1), values);
    qn_tensor *row = qn_from_data(ctx, QN_F32, QN_SHAPE(1, COUNT), values);
    op_result got = op_take(qn_matmul(column, row));
    bool right = true;
    for (int i = 0; i < COUNT * COUNT; i++) {
        float a = (float)bf16_nearest(values[i / COUNT]),
              b = (float)bf16_nearest(values[i % COUNT]);
        float expected = a * b, value = (float)got.values[i];
        bool tiny = fabsf(expected) < 0x1p-126f; /* sums may flush those, or keep them */
        bool alike = isnan(expected) ? isnan(value)
                     : tiny          ? fabsf(value) < 0x1p-126f
                                     : value == expected;
        if (!alike)
            printf("%a x %a: %a, expected %a\n", values[i / COUNT], values[i % COUNT], value,
                   expected);
        right = right && alike;
    }
    free(got.values);
    qn_step_end(ctx);
    return right;
}
