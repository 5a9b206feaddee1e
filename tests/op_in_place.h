/* op_in_place.h: operations that change their operands, as rows of the operation table call them.
 *
 * Each works on contiguous copies, and returns what they hold afterwards. */
#ifndef QUERN_OP_IN_PLACE_H
#define QUERN_OP_IN_PLACE_H

#include "quern.h"

/** Steps of optimizers: parameter, gradient and state are given, and returned joined. */
qn_tensor *op_sgd_step(qn_tensor **x);
qn_tensor *op_adam_step(qn_tensor **x);
qn_tensor *op_rmsprop_step(qn_tensor **x);
qn_tensor *op_adadelta_step(qn_tensor **x);
/** A step for the rows of x[0] to x[3] that x[4] marks. */
qn_tensor *op_adam_step_rows(qn_tensor **x);

/** Rows of x[0] limited to a norm of 1.5. */
qn_tensor *op_limit_norm(qn_tensor **x);
/** The factors after clipping by the sum of squares x[0], which is a scalar. */
qn_tensor *op_clip_factor(qn_tensor **x);

/** x[0] filled with one number. */
qn_tensor *op_fill(qn_tensor **x);
/** Random numbers as many as x[0] has, drawn in f32 by the oracle, too; normal ones in whole
 * tenths, since f32 does not give the same logarithm everywhere. */
qn_tensor *op_uniform(qn_tensor **x);
qn_tensor *op_normal(qn_tensor **x);
/** x[0] overwritten with x[1], transposed. */
qn_tensor *op_copy(qn_tensor **x);

#endif
