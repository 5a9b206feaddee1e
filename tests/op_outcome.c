/* op_outcome.c: calls of rows of the operation table, and comparisons of what they give. */
#include "op_outcome.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

op_result op_take(const qn_tensor *x) { return (op_result){qn_tensor_count(x), op_values(x)}; }

qn_tensor *op_weighted(qn_tensor *y) {
    return qn_sum(qn_mul(y, op_weights(qn_tensor_context(y), y)), QN_ALL, false);
}

/** The same number, by way of the transposed output: its gradient comes back with other strides. */
static qn_tensor *weighted_transposed(qn_tensor *y) {
    qn_tensor *weights = qn_transpose(op_weights(qn_tensor_context(y), y), -1, -2);
    return qn_sum(qn_mul(qn_transpose(y, -1, -2), qn_contiguous(weights)), QN_ALL, false);
}

/** A number whose gradient by y is the same weights, strided: a slice of
 * what belongs to a stack. */
static qn_tensor *weighted_strided(qn_tensor *y) {
    return op_weighted(qn_stack((qn_tensor *[]){qn_detach(y), y}, 2, -1));
}

/** The same, contiguous but one element off. */
static qn_tensor *weighted_offset(qn_tensor *y) {
    qn_tensor *one = qn_ones(qn_tensor_context(y), qn_tensor_dtype(y), QN_SHAPE(1));
    return op_weighted(qn_concat((qn_tensor *[]){one, qn_flatten(y, 0)}, 2, 0));
}

/** A number for backward(), by which the gradient of y lies as `layout` says. */
static qn_tensor *weighted_laid(qn_tensor *y, op_layout layout) {
    const int rank = qn_tensor_shape(y).rank;
    if (layout == TRANSPOSED && rank >= 2)
        return weighted_transposed(y);
    if (layout == STRIDED && rank < QN_MAX_DIMS)
        return weighted_strided(y);
    if (layout == OFFSET && rank >= 1)
        return weighted_offset(y);
    return layout == REPEATED ? qn_sum(y, QN_ALL, false) : op_weighted(y);
}

op_outcome op_run_laid(qn_context *ctx, const op_case *row, const op_inputs *inputs, qn_dtype dtype,
                       const op_layouts *layouts) {
    qn_tensor *x[OP_MAX_INPUTS];
    bool grad = row->checks != FORWARD;
    op_tensors_laid(ctx, inputs, dtype, layouts, grad, x);
    qn_context_seed(ctx, OP_SEED);
    qn_tensor *y = row->call(x);
    if (!y)
        return (op_outcome){.refused = true};
    op_outcome o = {.output = op_take(y)};
    if (grad) {
        cr_assert_eq(qn_backward(weighted_laid(y, layouts->gradient)), QN_OK, "%s: %s", row->id,
                     qn_context_message(ctx));
        for (int i = 0; i < inputs->count; i++)
            if (inputs->input[i].differentiable && x[i]) {
                cr_assert_not_null(qn_grad(x[i]), "%s: no gradient for input %d", row->id, i);
                o.grad[i] = op_take(qn_grad(x[i]));
            }
    }
    qn_step_end(ctx);
    return o;
}

op_outcome op_run(qn_context *ctx, const op_case *row, const op_inputs *inputs, qn_dtype dtype,
                  op_layout layout) {
    const op_layouts layouts = op_layouts_all(layout);
    op_outcome o = op_run_laid(ctx, row, inputs, dtype, &layouts);
    cr_assert_not(o.refused, "%s: %s", row->id, qn_context_message(ctx));
    return o;
}

op_outcome op_oracle(const op_case *row, const op_inputs *inputs) {
    qn_context *ctx = op_context("ref", NULL);
    op_outcome o = op_run(ctx, row, inputs, QN_F64, CONTIGUOUS);
    qn_context_free(ctx);
    return o;
}

void op_outcome_free(op_outcome *o) {
    free(o->output.values);
    for (int i = 0; i < OP_MAX_INPUTS; i++)
        free(o->grad[i].values);
}

static double largest(op_result r) {
    double most = 1;
    for (int64_t i = 0; i < r.count; i++)
        if (isfinite(r.values[i]))
            most = fmax(most, fabs(r.values[i]));
    return most;
}

static bool alike(double a, double b, double tolerance) {
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    return a == b || fabs(a - b) <= tolerance;
}

bool op_results_alike(op_result expected, op_result got, double relative, char *difference,
                      size_t size) {
    if (expected.count != got.count) {
        snprintf(difference, size, "%lld elements, expected %lld", (long long)got.count,
                 (long long)expected.count);
        return false;
    }
    double tolerance = relative * largest(expected);
    for (int64_t i = 0; i < expected.count; i++)
        if (!alike(expected.values[i], got.values[i], tolerance)) {
            snprintf(difference, size, "element %lld is %.9g, expected %.9g", (long long)i,
                     got.values[i], expected.values[i]);
            return false;
        }
    return true;
}

bool op_outcomes_alike(const op_outcome *expected, const op_outcome *got, double relative,
                       char *difference, size_t size) {
    char text[128];
    if (!op_results_alike(expected->output, got->output, relative, text, sizeof(text))) {
        snprintf(difference, size, "output: %s", text);
        return false;
    }
    for (int i = 0; i < OP_MAX_INPUTS; i++)
        if (expected->grad[i].values &&
            !op_results_alike(expected->grad[i], got->grad[i], relative, text, sizeof(text))) {
            snprintf(difference, size, "gradient of input %d: %s", i, text);
            return false;
        }
    return true;
}
