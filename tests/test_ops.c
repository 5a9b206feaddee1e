/* test_ops.c: every row of the operation table: values, gradients, layouts, special values,
 * threads.
 *
 * The oracle is the reference provider in f64; it is itself held against central differences here,
 * and against values computed elsewhere in test_values.c. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op_every_row.h"
#include "op_outcome.h"
#include "test_device.h"

static void compare(const op_case *row, const char *what, op_result expected, op_result got,
                    double relative) {
    char difference[256];
    cr_assert(op_results_alike(expected, got, relative, difference, sizeof(difference)),
              "%s, %s: %s", row->id, what, difference);
}

static void compare_outcomes(const op_case *row, const char *what, const op_outcome *expected,
                             const op_outcome *got, double relative) {
    char difference[256];
    cr_assert(op_outcomes_alike(expected, got, relative, difference, sizeof(difference)),
              "%s, %s: %s", row->id, what, difference);
}

/* ---- values and layouts ------------------------------------------------------------------ */

EVERY_ROW(ops, each_provider_gives_what_the_oracle_gives) {
    op_inputs inputs = op_inputs_make(row->small, 1);
    op_outcome expected = op_oracle(row, &inputs);
    for (int w = op_first_way(); w < OP_WAYS; w++) {
        qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
        op_outcome got = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
        compare_outcomes(row, op_ways[w].name, &expected, &got, 1e-5);
        op_outcome_free(&got);
        qn_context_free(ctx);
    }
    op_outcome_free(&expected);
    op_inputs_free(&inputs);
}

EVERY_ROW(ops, each_layout_gives_the_same) {
    op_inputs inputs = op_inputs_make(row->small, 2);
    op_outcome expected = op_oracle(row, &inputs);
    for (int w = op_first_way(); w < OP_WAYS; w++) {
        qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
        for (op_layout layout = TRANSPOSED; layout <= GAPPED; layout++) {
            op_outcome got = op_run(ctx, row, &inputs, QN_F32, layout);
            compare_outcomes(row, layout == GAPPED ? "gapped" : "transposed", &expected, &got,
                             1e-5);
            op_outcome_free(&got);
        }
        qn_context_free(ctx);
    }
    op_outcome_free(&expected);
    op_inputs_free(&inputs);
}

EVERY_ROW(ops, each_kernel_for_doubles_gives_what_the_oracle_gives) {
    op_inputs inputs = op_inputs_make(row->small, 9);
    op_outcome expected = op_oracle(row, &inputs);
    for (int w = op_first_way(); w < OP_WAYS; w++) {
        qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
        op_outcome got = op_run(ctx, row, &inputs, QN_F64, TRANSPOSED);
        compare_outcomes(row, op_ways[w].name, &expected, &got, 1e-11);
        op_outcome_free(&got);
        qn_context_free(ctx);
    }
    op_outcome_free(&expected);
    op_inputs_free(&inputs);
}

/** Rounds floating-point inputs to a dtype. */
static void round_inputs(op_inputs *inputs, qn_dtype dtype) {
    for (int i = 0; i < inputs->count; i++)
        for (int64_t at = 0; inputs->input[i].is_float && at < inputs->input[i].count; at++) {
            double memory = 0;
            qn_element_set(dtype, &memory, 0, inputs->input[i].values[at]);
            inputs->input[i].values[at] = qn_element_get(dtype, &memory, 0);
        }
}

/** What rounding of each intermediate result may come to, in units of the dtype's last place. */
enum { SIXTEEN_ULPS = 12 };

EVERY_ROW(ops, elements_of_sixteen_bits_give_what_the_oracle_gives) {
    if (strstr(row->id, "_step"))
        return; /* refused: test_sixteen_bits.c */
    if (strcmp(row->id, "embedding_bag_rows") == 0 && !test_on_cpu())
        return; /* by the host, which copies rows that nobody wrote yet */
    const struct {
        qn_dtype dtype;
        double ulp;
    } kinds[] = {{QN_BF16, 0x1p-8}, {QN_F16, 0x1p-11}};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
        op_inputs inputs = op_inputs_make(row->small, 10);
        round_inputs(&inputs, kinds[k].dtype);
        op_outcome expected = op_oracle(row, &inputs);
        qn_context *ctx = op_context(NULL, NULL);
        op_outcome got = op_run(ctx, row, &inputs, kinds[k].dtype, TRANSPOSED);
        compare_outcomes(row, qn_dtype_string(kinds[k].dtype), &expected, &got,
                         SIXTEEN_ULPS * kinds[k].ulp);
        op_outcome_free(&got);
        qn_context_free(ctx);
        op_outcome_free(&expected);
        op_inputs_free(&inputs);
    }
}

/** Puts a value into the middle of the first floating-point input; false if there is none. */
static bool plant(op_inputs *inputs, double value) {
    for (int i = 0; i < inputs->count; i++) {
        op_input *input = &inputs->input[i];
        if (!input->is_float || input->count == 0)
            continue;
        input->values[input->count / 2] = value;
        return true;
    }
    return false;
}

EVERY_ROW(ops, nan_and_infinity_are_carried) {
    const double special[] = {NAN, INFINITY, -INFINITY};
    if (strncmp(row->id, "cast_", 5) == 0)
        return; /* floating point to integer has a rule of its own: test_values.c */
    if (strcmp(row->id, "winograd_conv2d") == 0)
        return; /* what is infinite becomes NaN: test_winograd.c */
    const int kinds = strstr(row->id, "_step") ? 2 : 3; /* squares, as state, are not negative */
    for (int s = 0; s < kinds; s++) {
        op_inputs inputs = op_inputs_make(row->small, 3);
        if (plant(&inputs, special[s])) {
            op_outcome expected = op_oracle(row, &inputs);
            for (int w = op_first_way(); w < OP_WAYS; w++) {
                qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
                op_outcome got = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
                compare(row, op_ways[w].name, expected.output, got.output, 1e-5);
                op_outcome_free(&got);
                qn_context_free(ctx);
            }
            op_outcome_free(&expected);
        }
        op_inputs_free(&inputs);
    }
}

EVERY_ROW(ops, empty_inputs_are_right_or_refused) {
    op_inputs inputs = op_inputs_make(row->small, 4);
    int64_t first = inputs.input[0].shape.rank ? inputs.input[0].shape.dim[0] : -1;
    for (int i = 0; i < inputs.count; i++) {
        op_input *input = &inputs.input[i];
        if (input->shape.rank > 0 && input->shape.dim[0] == first) {
            input->shape.dim[0] = 0;
            input->count = 0;
        }
    }
    for (int w = op_first_way(); w < OP_WAYS; w++) {
        qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
        qn_tensor *x[OP_MAX_INPUTS];
        op_tensors(ctx, &inputs, QN_F32, CONTIGUOUS, row->checks != FORWARD, x);
        qn_tensor *y = row->call(x);
        if (!y)
            cr_assert_str_not_empty(qn_context_message(ctx), "%s: refused without a word", row->id);
        else if (row->checks != FORWARD)
            cr_assert_eq(qn_backward(op_weighted(y)), QN_OK, "%s: %s", row->id,
                         qn_context_message(ctx));
        qn_context_free(ctx);
    }
    op_inputs_free(&inputs);
}

/* ---- gradients --------------------------------------------------------------------------- */

/** The first derivative's own weighted sum, so that it can be differentiated again. */
static qn_tensor *gradient_sum(const op_case *row, const op_inputs *inputs, qn_tensor **x) {
    qn_tensor *wanted[OP_MAX_INPUTS], *grads[OP_MAX_INPUTS], *total = NULL;
    int count = 0;
    for (int i = 0; i < inputs->count; i++)
        if (inputs->input[i].differentiable)
            wanted[count++] = x[i];
    qn_tensor *y = row->call(x);
    qn_context *ctx = qn_tensor_context(x[0]);
    cr_assert_eq(qn_gradients(op_weighted(qn_mul(y, y)), wanted, count, grads, true), QN_OK,
                 "%s: %s", row->id, qn_context_message(ctx));
    for (int i = 0; i < count; i++) {
        qn_tensor *part = op_weighted(grads[i]);
        total = total ? qn_add(total, part) : part;
    }
    return total;
}

static qn_tensor *value_sum(const op_case *row, const op_inputs *inputs, qn_tensor **x) {
    (void)inputs;
    return op_weighted(row->call(x));
}

typedef qn_tensor *(*scalar_of)(const op_case *row, const op_inputs *inputs, qn_tensor **x);

static double evaluate(qn_context *ctx, const op_case *row, const op_inputs *inputs, scalar_of f) {
    qn_tensor *x[OP_MAX_INPUTS];
    op_tensors(ctx, inputs, QN_F64, CONTIGUOUS, f == gradient_sum, x);
    qn_context_seed(ctx, OP_SEED);
    double value = qn_item(f(row, inputs, x));
    qn_step_end(ctx);
    return value;
}

/** Holds the derivative of f against central differences, element by element; on other devices than
 * the CPU, whose gradients are held against the oracle's above and which may be simulated, by every
 * third. */
static void check_derivative(const op_case *row, const op_inputs *inputs, scalar_of f) {
    const double h = 1e-5;
    const int64_t step = test_on_cpu() ? 1 : 3;
    qn_context *ctx = op_context(test_on_cpu() ? "ref" : NULL, NULL);
    qn_tensor *x[OP_MAX_INPUTS];
    op_tensors(ctx, inputs, QN_F64, CONTIGUOUS, true, x);
    qn_context_seed(ctx, OP_SEED);
    cr_assert_eq(qn_backward(f(row, inputs, x)), QN_OK, "%s: %s", row->id, qn_context_message(ctx));
    op_result grad[OP_MAX_INPUTS] = {0};
    for (int i = 0; i < inputs->count; i++)
        if (inputs->input[i].differentiable && qn_grad(x[i]))
            grad[i] = op_take(qn_grad(x[i]));
    qn_step_end(ctx);
    for (int i = 0; i < inputs->count; i++) {
        const op_input *input = &inputs->input[i];
        for (int64_t e = 0; input->differentiable && e < input->count; e += step) {
            double *value = &input->values[e], at = *value;
            *value = at + h;
            double above = evaluate(ctx, row, inputs, f);
            *value = at - h;
            double below = evaluate(ctx, row, inputs, f);
            *value = at;
            double expected = (above - below) / (2 * h);
            double got = grad[i].values ? grad[i].values[e] : 0;
            double scale = fmax(1, fmax(fabs(expected), fmax(fabs(above), fabs(below))));
            cr_assert(fabs(expected - got) < 1e-6 * scale,
                      "%s: derivative by element %lld of input %d is %.12g, differences give %.12g",
                      row->id, (long long)e, i, got, expected);
        }
        free(grad[i].values);
    }
    qn_context_free(ctx);
}

EVERY_ROW(ops, gradient_matches_central_differences) {
    if (row->checks == FORWARD)
        return;
    op_inputs inputs = op_inputs_make(row->small, 5);
    check_derivative(row, &inputs, value_sum);
    op_inputs_free(&inputs);
}

EVERY_ROW(ops, second_derivative_matches_central_differences) {
    if (row->checks != TWICE)
        return;
    op_inputs inputs = op_inputs_make(row->small, 6);
    check_derivative(row, &inputs, gradient_sum);
    op_inputs_free(&inputs);
}

/* A row that cannot be differentiated twice says why; no other fails. */
static bool once_only(const char *id) {
    return strncmp(id, "lstm", 4) == 0 || strncmp(id, "gru", 3) == 0 ||
           strncmp(id, "attention", 9) == 0;
}

EVERY_ROW(ops, second_derivatives_are_there_or_refused_with_a_reason) {
    if (row->checks != ONCE)
        return; /* the rows that say TWICE are above */
    op_inputs inputs = op_inputs_make(row->small, 6);
    if (!once_only(row->id)) {
        check_derivative(row, &inputs, gradient_sum);
        op_inputs_free(&inputs);
        return;
    }
    qn_context *ctx = op_context(NULL, NULL);
    qn_tensor *x[OP_MAX_INPUTS];
    op_tensors(ctx, &inputs, QN_F32, CONTIGUOUS, true, x);
    cr_expect_eq(qn_backward(gradient_sum(row, &inputs, x)), QN_NOT_DIFFERENTIABLE, "%s", row->id);
    cr_expect(strstr(qn_context_message(ctx), " can be differentiated once; "), "%s: %s", row->id,
              qn_context_message(ctx));
    qn_context_free(ctx);
    op_inputs_free(&inputs);
}

/** The gradients of the weighted output, which of what is linear do not depend on the inputs. */
static qn_tensor *plain_gradient_sum(const op_case *row, const op_inputs *inputs, qn_tensor **x) {
    qn_tensor *wanted[OP_MAX_INPUTS], *grads[OP_MAX_INPUTS], *total = NULL;
    int count = 0;
    for (int i = 0; i < inputs->count; i++)
        if (inputs->input[i].differentiable)
            wanted[count++] = x[i];
    cr_assert_eq(qn_gradients(op_weighted(row->call(x)), wanted, count, grads, true), QN_OK,
                 "%s: %s", row->id, qn_context_message(qn_tensor_context(x[0])));
    for (int i = 0; i < count; i++) {
        qn_tensor *part = op_weighted(grads[i]);
        total = total ? qn_add(total, part) : part;
    }
    return total;
}

EVERY_ROW(ops, a_second_derivative_that_is_zero_is_zeros) {
    if (row->checks == FORWARD || once_only(row->id))
        return;
    op_inputs inputs = op_inputs_make(row->small, 6);
    qn_context *ctx = op_context(NULL, NULL);
    qn_tensor *x[OP_MAX_INPUTS];
    op_tensors(ctx, &inputs, QN_F32, CONTIGUOUS, true, x);
    cr_expect_eq(qn_backward(plain_gradient_sum(row, &inputs, x)), QN_OK, "%s: %s", row->id,
                 qn_context_message(ctx));
    for (int i = 0; i < inputs.count; i++)
        if (inputs.input[i].differentiable)
            cr_expect_not_null(qn_grad(x[i]), "%s: none for input %d", row->id, i);
    qn_context_free(ctx);
    op_inputs_free(&inputs);
}

/* ---- denormal numbers -------------------------------------------------------------------- */

/* The rule of quern/ops.h: a kernel takes a denormal number for itself or for a zero of its sign,
 * and for nothing else. */
EVERY_ROW(ops, a_denormal_number_counts_as_itself_or_as_zero) {
    if (strncmp(row->id, "winograd", 8) == 0)
        return; /* sums of its input, with errors in proportion to the largest */
    for (int sign = -1; sign <= 1; sign += 2) {
        op_inputs inputs = op_inputs_make(row->small, 3);
        if (plant(&inputs, sign * 1e-40)) {
            op_outcome itself = op_oracle(row, &inputs);
            plant(&inputs, sign * 0.0);
            op_outcome zero = op_oracle(row, &inputs);
            plant(&inputs, (double)(float)(sign * 1e-40));
            for (int w = op_first_way(); w < OP_WAYS; w++) {
                qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
                op_outcome got = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
                char difference[256];
                const bool alike =
                    op_results_alike(itself.output, got.output, 1e-5, difference,
                                     sizeof(difference)) ||
                    op_results_alike(zero.output, got.output, 1e-5, difference, sizeof(difference));
                cr_expect(alike, "%s, %s, %g: %s", row->id, op_ways[w].name, sign * 1e-40,
                          difference);
                op_outcome_free(&got);
                qn_context_free(ctx);
            }
            op_outcome_free(&itself);
            op_outcome_free(&zero);
        }
        op_inputs_free(&inputs);
    }
}

Test(ops, the_sign_of_a_denormal_number_is_a_sign) {
    for (int w = op_first_way(); w < OP_WAYS; w++) {
        qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
        const float x[] = {1e-40f, -1e-40f, 0.0f, 1e-38f, -2.0f, NAN};
        float y[6];
        qn_tensor_read(qn_sign(qn_from_data(ctx, QN_F32, QN_SHAPE(6), x)), y, sizeof(y));
        cr_expect((y[0] == 0 || y[0] == 1) && (y[1] == 0 || y[1] == -1), "%s: %g %g",
                  op_ways[w].name, (double)y[0], (double)y[1]);
        cr_expect(y[2] == 0 && y[4] == -1 && isnan(y[5]), "%s", op_ways[w].name);
        qn_context_free(ctx);
    }
}

/* ---- the same bits ----------------------------------------------------------------------- */

static void same_bits(const op_case *row, const char *what, op_result expected, op_result got) {
    cr_assert_eq(expected.count, got.count);
    if (expected.count == 0)
        return;
    cr_assert_arr_eq(expected.values, got.values, (size_t)expected.count * sizeof(double),
                     "%s: %s: other bits", row->id, what);
}

EVERY_ROW(ops, any_number_of_threads_gives_the_same_bits) {
    if (!test_on_cpu())
        return;
    const char *isa[] = {"avx2", NULL};
    op_inputs inputs = op_inputs_make(row->large, 7);
    for (int set = 0; set < 2; set++) {
        qn_context *ctx = op_context("simd,openblas,ref", isa[set]);
        qn_context_set_threads(ctx, 1);
        op_outcome one = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
        for (int threads = 1; threads <= 3; threads++) {
            qn_context_set_threads(ctx, threads);
            op_outcome many = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
            same_bits(row, "output", one.output, many.output);
            for (int i = 0; i < OP_MAX_INPUTS; i++)
                same_bits(row, "gradient", one.grad[i], many.grad[i]);
            op_outcome_free(&many);
        }
        op_outcome_free(&one);
        qn_context_free(ctx);
    }
    op_inputs_free(&inputs);
}

EVERY_ROW(ops, a_second_run_on_a_device_gives_the_same_bits) {
    op_inputs inputs = op_inputs_make(row->small, 7);
    qn_context *ctx = op_context(NULL, NULL);
    op_outcome one = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
    op_outcome two = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
    same_bits(row, "output", one.output, two.output);
    for (int i = 0; i < OP_MAX_INPUTS; i++)
        same_bits(row, "gradient", one.grad[i], two.grad[i]);
    op_outcome_free(&one);
    op_outcome_free(&two);
    cr_assert_eq(qn_context_fallbacks(ctx), 0, "%s: %zu calls ran on the host", row->id,
                 qn_context_fallbacks(ctx));
    qn_context_free(ctx);
    op_inputs_free(&inputs);
}

Test(ops, a_variance_of_too_few_elements_is_nan_and_so_is_its_gradient) {
    for (int w = op_first_way(); w < OP_WAYS; w++) {
        qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
        const float values[3] = {1, 2, 4};
        qn_tensor *x = qn_require_grad(qn_from_data(ctx, QN_F32, QN_SHAPE(3), values));
        qn_tensor *y = qn_var(x, QN_ALL, 4, false);
        cr_expect(isnan(qn_item(y)));
        cr_expect_eq(qn_backward(y), QN_OK);
        cr_expect(isnan(qn_item(qn_slice(qn_grad(x), 0, 0, 1))));
        qn_context_free(ctx);
    }
}

Test(ops, a_convolution_may_have_no_channels_at_all) {
    for (int w = op_first_way(); w < OP_WAYS; w++) {
        qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
        qn_tensor *x = qn_parameter(ctx, QN_F32, QN_SHAPE(2, 0, 4, 5));
        qn_tensor *weight = qn_parameter(ctx, QN_F32, QN_SHAPE(0, 0, 3, 3));
        qn_tensor *y = qn_conv2d(x, weight, NULL, NULL);
        cr_expect_eq(qn_tensor_dim(y, 3), 3);
        cr_expect_eq(qn_tensor_count(y), 0);
        cr_expect_eq(qn_backward(qn_sum(y, QN_ALL, false)), QN_OK);
        cr_expect_eq(qn_context_error(ctx, stderr), QN_OK);
        qn_context_free(ctx);
    }
}

EVERY_ROW(ops, large_inputs_give_what_the_reference_gives) {
    op_inputs inputs = op_inputs_make(row->large, 8);
    qn_context *ctx = op_context("ref", NULL);
    op_outcome expected = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
    qn_context_free(ctx);
    for (int w = test_on_cpu() ? 1 : op_first_way(); w < OP_WAYS; w++) {
        ctx = op_context(op_ways[w].providers, op_ways[w].isa);
        op_outcome got = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
        compare_outcomes(row, op_ways[w].name, &expected, &got, 2e-5);
        op_outcome_free(&got);
        qn_context_free(ctx);
    }
    op_outcome_free(&expected);
    op_inputs_free(&inputs);
}
