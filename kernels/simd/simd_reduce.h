/* simd_reduce.h: reductions over any set of axes.
 *
 * Two forms cover the layouts that occur. Where a reduced axis is contiguous, each output is made
 * of rows that are summed along (simd_reduce_row); where the innermost kept axis is contiguous, a
 * band of columns is summed down (simd_reduce_column). Blocks are summed in f32 over many
 * accumulators and joined in f64, in an order that the shape fixes. */
#ifndef QN_SIMD_REDUCE_H
#define QN_SIMD_REDUCE_H

#include "simd.h"

/** Columns of a band: four vectors. */
enum { SIMD_BAND = 4 * V_WIDTH };

/** Reduces n contiguous elements. `center` is what squares are taken about; others ignore it. */
typedef double (*simd_row_function)(const float *x, int64_t n, float center);

/** Reduces `rows` rows of `columns` <= SIMD_BAND columns, `stride` elements apart, each column onto
 * its total. center[c] belongs to column c; SIMD_BAND floats are readable there. */
typedef void (*simd_column_function)(const float *x, int64_t columns, int64_t rows, int64_t stride,
                                     const float *center, double *total);

typedef struct simd_reduction {
    double identity;
    double (*join)(double a, double b);
    simd_row_function row;
    simd_column_function column;
} simd_reduction;

#define simd_reduce_sum SIMD_NAME(reduce_sum_)
#define simd_reduce_squares SIMD_NAME(reduce_squares_)
#define simd_reduce_max SIMD_NAME(reduce_max_)
#define simd_reduce_min SIMD_NAME(reduce_min_)

/** sum x, sum (x - center)^2, max x, min x. */
extern const simd_reduction simd_reduce_sum, simd_reduce_squares, simd_reduce_max, simd_reduce_min;

#define simd_reduce SIMD_NAME(reduce_)
#define simd_reduce_declines SIMD_NAME(reduce_declines_)
#define simd_reduce_workspace SIMD_NAME(reduce_workspace_)

/** Reduces the call's input over attrs->axes: result[i] for each output element i. `center`, if not
 * NULL, has one element for each output. `scratch` is what simd_reduce_workspace() asked for. */
void simd_reduce(const qn_call *call, const simd_reduction *reduction, const float *center,
                 double *result, void *scratch);

#define simd_reduce_run SIMD_NAME(reduce_run_)

/** A whole kernel: output = scale * reduction. Needs simd_reduce_workspace(). */
qn_status simd_reduce_run(const qn_call *call, const simd_reduction *reduction, double scale);

/** For qn_kernel.declines: f32, and an axis of stride 1 where it is needed. */
const char *simd_reduce_declines(const qn_call *call);

/** For qn_kernel.workspace: an f64 for each output and for each partial result. */
size_t simd_reduce_workspace(const qn_call *call);

#endif
