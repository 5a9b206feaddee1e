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

/** Whether QUERN_TEST_ROWS, names with commas between them, asks for a row; unset, all are asked
 * for. */
bool op_is_asked_for(const op_case *row);

/** A way in which calls are served; each is compared with the oracle. */
typedef struct op_way {
    const char *name, *providers, *isa;
} op_way;
#define OP_WAYS 4
extern const op_way op_ways[OP_WAYS];

/** The first of them on the device that the tests run on: on another than the CPU the last way
 * alone is the device's. */
int op_first_way(void);

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

/** How an input lies in memory. From REPEATED on an input has other values, too. */
typedef enum op_layout {
    CONTIGUOUS,
    TRANSPOSED,     /**< the last two axes are swapped in memory */
    GAPPED,         /**< unused elements between the rows */
    STRIDED,        /**< an unused element before each, the last axis too */
    OFFSET,         /**< contiguous, one element behind the start of its buffer */
    REPEATED,       /**< stride 0 along the last axis */
    REPEATED_FIRST, /**< stride 0 along the first axis */
    ABSENT,         /**< NULL */
} op_layout;
#define OP_LAYOUTS 8
#define OP_LAYOUTS_OF_SAME_VALUES 5

/** The layout of each input of a call, and of the gradient of its output. */
typedef struct op_layouts {
    op_layout input[OP_MAX_INPUTS];
    op_layout gradient;
} op_layouts;

/** The same for every input; only TRANSPOSED is also the gradient's. */
op_layouts op_layouts_all(op_layout layout);

/** Makes values equal along the axes that REPEATED and REPEATED_FIRST repeat, so that a contiguous
 * tensor of them has what the laid one has. */
void op_inputs_repeat(op_inputs *inputs, const op_layouts *layouts);

/** Makes the tensors of a call. Floating-point inputs get `dtype`; those that are differentiable
 * require a gradient if `grad`. They lie as `layouts` says, where their axes allow it. */
void op_tensors_laid(qn_context *ctx, const op_inputs *inputs, qn_dtype dtype,
                     const op_layouts *layouts, bool grad, qn_tensor **x);

/** The same with one layout for all. */
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
