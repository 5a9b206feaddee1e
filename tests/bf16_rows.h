/* bf16_rows.h: rows of products and convolutions in precision bf16, held against sums in f64 over
 * operands that the test rounds itself. */
#ifndef QUERN_BF16_ROWS_H
#define QUERN_BF16_ROWS_H

#include "op_outcome.h"

/** x to 8 significant bits, ties to even; below the normal numbers of f32 it is 0. */
double bf16_nearest(double x);

/** Whether a row of the operation table is a product or a convolution. */
bool bf16_is_product(const op_case *row);

/** What a row gives in bf16: the output of rounded operands, and their gradients by a rounded
 * gradient of the output; biases and their gradients are not rounded. */
op_outcome bf16_expected(const op_case *row, const op_inputs *inputs);

/** Whether a context in bf16 gives what is expected for a row with these inputs; else the
 * difference. */
bool bf16_is_right(qn_context *ctx, const op_case *row, const char *const *specs, op_layout layout,
                   char *difference, size_t size);

/** The first shape of matrices [m, k] x [k, n], with all extents from 1 to 33, or of a layer, or of
 * a 3 x 3 convolution of k to n channels, that is not right; false and its difference. */
bool bf16_edges_are_right(qn_context *ctx, char *difference, size_t size);

/** Whether products of infinities, NaN, denormal numbers and ends of the range are right; prints
 * those that are not. */
bool bf16_special_values_are_right(qn_context *ctx);

#endif
