/* op_every_row.h: tests that run once a row of the operation table. */
#ifndef QUERN_OP_EVERY_ROW_H
#define QUERN_OP_EVERY_ROW_H

#include <criterion/parameterized.h>

#include "op_table.h"

static inline void op_every_row_free(struct criterion_test_params *rows) { cr_free(rows->params); }

/** Positions of the rows that are asked for: Criterion hands each test process one of them. */
static inline struct criterion_test_params op_every_row(void) {
    int *rows = cr_malloc((size_t)op_case_count * sizeof(*rows));
    size_t count = 0;
    for (int i = 0; i < op_case_count; i++)
        if (op_is_asked_for(&op_cases[i]))
            rows[count++] = i;
    return cr_make_param_array(int, rows, count, op_every_row_free);
}

/* A test that runs once a row; its body is a function of the row. */
#define EVERY_ROW(suite, name)                                                                     \
    static void name(const op_case *row);                                                          \
    ParameterizedTestParameters(suite, name) { return op_every_row(); }                            \
    ParameterizedTest(const int *index, suite, name) { name(&op_cases[*index]); }                  \
    static void name(const op_case *row)

#endif
