/* ref_recurrent.h: sequences by time, [t, n, hidden], as lstm and gru see them. */
#ifndef QN_REF_RECURRENT_H
#define QN_REF_RECURRENT_H

#include "ref_sequence.h"

/** The step that is taken as number `count`. */
static inline int64_t ref_step(int64_t count, int64_t steps, bool reverse) {
    return reverse ? steps - 1 - count : count;
}

/** The row of one sample at one step, a view of rank 1; the sequence may be absent. */
static inline qn_view ref_row(const qn_view *sequence, int64_t step, int64_t sample) {
    if (!sequence->data)
        return (qn_view){0};
    qn_view row = ref_at(sequence, step * sequence->stride[0] + sample * sequence->stride[1]);
    row.rank = 1;
    row.shape[0] = sequence->shape[2];
    row.stride[0] = sequence->stride[2];
    return row;
}

/** The row of one sample of an array [n, hidden], which may be absent. */
static inline qn_view ref_sample(const qn_view *array, int64_t sample) {
    if (!array->data)
        return (qn_view){0};
    qn_view row = ref_at(array, sample * array->stride[0]);
    row.rank = 1;
    row.shape[0] = array->shape[1];
    row.stride[0] = array->stride[1];
    return row;
}

/** The sample's state before a step: of the step that was taken before, or `start`. */
static inline qn_view ref_row_before(const qn_view *states, const qn_view *start, int64_t step,
                                     int64_t sample, bool reverse) {
    int64_t before = reverse ? step + 1 : step - 1;
    if (before >= 0 && before < states->shape[0])
        return ref_row(states, before, sample);
    return ref_sample(start, sample);
}

/** Element j of a row; a row that is not there is zeros. */
static inline double ref_row_load(const qn_view *row, int64_t j) {
    return row->data ? ref_load(row, j * row->stride[0]) : 0;
}

static inline void ref_row_store(const qn_view *row, int64_t j, double value) {
    ref_store(row, j * row->stride[0], value);
}

/** Row `row` of the weights w [rows, hidden] times the state h. */
static inline double ref_row_product(const qn_view *w, int64_t row, const qn_view *h) {
    double total = 0;
    for (int64_t p = 0; p < w->shape[1]; p++)
        total += ref_load(w, row * w->stride[0] + p * w->stride[1]) * ref_row_load(h, p);
    return total;
}

/** Column p of the weights w [rows, hidden] times g [rows]. */
static inline double ref_column_product(const qn_view *w, int64_t p, const qn_view *g) {
    double total = 0;
    for (int64_t row = 0; row < w->shape[0]; row++)
        total += ref_load(w, row * w->stride[0] + p * w->stride[1]) * ref_row_load(g, row);
    return total;
}

static inline double ref_sigmoid(double x) { return 1 / (1 + exp(-x)); }

#endif
