/* op_table.h: the operation table (op_cases.def) as data, and the inputs that its rows name. */
#ifndef QUERN_OP_TABLE_H
#define QUERN_OP_TABLE_H

#include "quern.h"

enum { OP_MAX_INPUTS = 6 };

/** What a row asks to be checked. */
typedef enum op_checks { FORWARD, ONCE, TWICE } op_checks;

/** One row. */
typedef struct op_case {
    const char *id;
    op_checks checks;
    qn_tensor *(*call)(qn_tensor **x);
    const char *small[OP_MAX_INPUTS + 1]; /**< ends with NULL */
    const char *large[OP_MAX_INPUTS + 1];
} op_case;

extern const op_case op_cases[];
extern const int op_case_count;

/** An input's values, before they become a tensor.
 *
 * Domains: none: normal numbers; positive: 0.5 to 2; unit: 0 to 1; distinct: all different, 0.06
 * apart or more and none near a kink of the table's operations; steps: multiples of 1/2 with many
 * repeats; indexN: i64 from 0 to N - 1; bool: u8. */
typedef struct op_input {
    qn_shape shape;
    bool is_float; /**< floating point, else dtype says what */
    bool differentiable;
    qn_dtype dtype; /**< of an integer input */
    int64_t count;
    double *values; /**< exact in f32, so that both precisions see the same numbers */
} op_input;

/** A row's inputs. */
typedef struct op_inputs {
    int count;
    op_input input[OP_MAX_INPUTS];
} op_inputs;

/** Makes the inputs that the specs name; the same numbers for the same seed. Aborts the test on
 * failure. */
op_inputs op_inputs_make(const char *const *specs, uint64_t seed);
void op_inputs_free(op_inputs *inputs);

/** How an input lies in memory. */
typedef enum op_layout { CONTIGUOUS, TRANSPOSED, GAPPED } op_layout;

/** Makes the tensors of a call. Floating-point inputs get `dtype`; those that are differentiable
 * require a gradient if `grad`. Inputs from the second axis up lie as `layout` says. */
void op_tensors(qn_context *ctx, const op_inputs *inputs, qn_dtype dtype, op_layout layout,
                bool grad, qn_tensor **x);

/** Reads any tensor as doubles, row-major; to be freed. */
double *op_values(const qn_tensor *x);

/** A context of the CPU with QUERN_PROVIDERS and QUERN_ISA set (NULL: unset) while it is opened;
 * with neither, of the device that the tests run on, with QUERN_TEST_PROVIDERS as its providers. */
qn_context *op_context(const char *providers, const char *isa);

/** Random weights for reducing an output to a number: sum(weights * output). Not on the tape. */
qn_tensor *op_weights(qn_context *ctx, const qn_tensor *like);

#endif
