/* simd_rows.h: kernels that treat each row along a contiguous last axis by itself. */
#ifndef QN_SIMD_ROWS_H
#define QN_SIMD_ROWS_H

#include "simd.h"

/** Computes row `row` of a call. */
typedef void (*simd_row_task)(const qn_call *call, int64_t row);

#define simd_rows_declines SIMD_NAME(rows_declines_)
#define simd_rows_run SIMD_NAME(rows_run_)

/** For qn_kernel.declines: the first `inputs` inputs are f32, `axis` is
 * their last, and contiguous. */
const char *simd_rows_declines(const qn_call *call, int inputs, int axis);

/** Runs a task for every row of the first input. */
qn_status simd_rows_run(const qn_call *call, simd_row_task task);

/** Start of a row of an f32 view: its last axis at index `row` of all others. */
static inline float *simd_row(const qn_view *view, int64_t row) {
    int64_t offset = 0;
    for (int axis = view->rank - 2; axis >= 0 && row > 0; axis--) {
        offset += row % view->shape[axis] * view->stride[axis];
        row /= view->shape[axis];
    }
    return (float *)view->data + offset;
}

#endif
