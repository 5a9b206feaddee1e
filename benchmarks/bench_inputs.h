/* bench_inputs.h: tensors that calls are measured on, from text as the operation table has it. */
#ifndef QUERN_BENCH_INPUTS_H
#define QUERN_BENCH_INPUTS_H

#include "quern.h"

enum { BENCH_MOST_INPUTS = 6, BENCH_INPUT_TEXT = 64 };

/** Inputs as text, "64x784" or "32:index10" each (tests/op_table.h). */
typedef struct bench_inputs {
    int count;
    char text[BENCH_MOST_INPUTS][BENCH_INPUT_TEXT];
} bench_inputs;

/** Copies a row's own, a list that ends with NULL. */
bench_inputs bench_inputs_of_row(const char *const *row);

/** Reads the shapes of a command line, "64x784,512x784,512", with - for a scalar, for a row whose
 * own inputs are given: what values they hold is the row's, where a shape does not say it after a
 * colon. False with a reason if they are not as many, or not shapes. */
bool bench_inputs_read(const char *shapes, const bench_inputs *row, bench_inputs *read,
                       char *reason, size_t size);

/** One tensor, kept, the same values each time; the context has the error if it cannot be made. */
qn_tensor *bench_input_make(qn_context *ctx, const char *text);

#endif
