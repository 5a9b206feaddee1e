/* op_outcome.h: what a row of the operation table gives, output and gradients, and how two such
 * outcomes compare. */
#ifndef QUERN_OP_OUTCOME_H
#define QUERN_OP_OUTCOME_H

#include "op_table.h"

/** The context's seed when a row is called: dropout draws the same numbers each time. */
enum { OP_SEED = 20 };

/** A row's output, or the gradient of one of its inputs, as doubles. */
typedef struct op_result {
    int64_t count;
    double *values;
} op_result;

/** What a call gave: the output, and, if the row asks for it, a gradient for each input that takes
 * one. */
typedef struct op_outcome {
    bool refused; /**< there was no output */
    op_result output;
    op_result grad[OP_MAX_INPUTS];
} op_outcome;

/** The elements of a tensor. */
op_result op_take(const qn_tensor *x);

/** sum(weights * y), differentiable, with op_weights(). */
qn_tensor *op_weighted(qn_tensor *y);

/** Calls a row and, unless it is FORWARD, differentiates the weighted sum of its
 * output. Ends the step; aborts the test on failure. The gradient of a TRANSPOSED run's
 * output is laid so as well. */
op_outcome op_run(qn_context *ctx, const op_case *row, const op_inputs *inputs, qn_dtype dtype,
                  op_layout layout);

/** The same with a layout for each input and for the gradient; a call
 * without output is `refused`. */
op_outcome op_run_laid(qn_context *ctx, const op_case *row, const op_inputs *inputs, qn_dtype dtype,
                       const op_layouts *layouts);

/** The same from the reference provider in f64. */
op_outcome op_oracle(const op_case *row, const op_inputs *inputs);

void op_outcome_free(op_outcome *o);

/** Whether `got` is `expected` within `relative` times the largest finite magnitude of `expected`
 * (at least 1); NaN equals NaN. If not, `difference` names the first element that is not. */
bool op_results_alike(op_result expected, op_result got, double relative, char *difference,
                      size_t size);

/** The same for output and gradients. */
bool op_outcomes_alike(const op_outcome *expected, const op_outcome *got, double relative,
                       char *difference, size_t size);

#endif
