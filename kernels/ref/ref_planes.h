/* ref_planes.h: windows on the planes of [n, c, h, w], for the pooling kernels. */
#ifndef QN_REF_PLANES_H
#define QN_REF_PLANES_H

#include "ref.h"

/** The positions first .. end - 1 that a window covers along one axis. */
typedef struct ref_span {
    int64_t first, end;
} ref_span;

/** What window i of a pooling covers of the input's `extent` positions; padding is left out. */
static inline ref_span ref_pool_span(const qn_pool2d_attrs *attrs, int axis, int64_t i,
                                     int64_t extent) {
    int64_t first = i * attrs->stride[axis] - attrs->padding[axis];
    int64_t end = first + attrs->kernel[axis];
    return (ref_span){first > 0 ? first : 0, end < extent ? end : extent};
}

/** What window i of `count` covers when they divide `extent` positions evenly. */
static inline ref_span ref_even_span(int64_t i, int64_t count, int64_t extent) {
    return (ref_span){i * extent / count, ((i + 1) * extent + count - 1) / count};
}

/** The plane of a view [n, c, h, w], counted over n and c, as a view [h, w]. */
static inline qn_view ref_plane(const qn_view *x, int64_t i) {
    qn_view plane = ref_at(x, i / x->shape[1] * x->stride[0] + i % x->shape[1] * x->stride[1]);
    plane.rank = 2;
    for (int axis = 0; axis < 2; axis++) {
        plane.shape[axis] = x->shape[2 + axis];
        plane.stride[axis] = x->stride[2 + axis];
    }
    return plane;
}

/** The sum of a plane's elements in a window. */
static inline double ref_plane_sum(const qn_view *plane, ref_span rows, ref_span columns) {
    double total = 0;
    for (int64_t i = rows.first; i < rows.end; i++)
        for (int64_t j = columns.first; j < columns.end; j++)
            total += ref_load(plane, i * plane->stride[0] + j * plane->stride[1]);
    return total;
}

/* The gradients add up one plane at a time, in double, in the workspace. */

/** Bytes for the sums of one plane of the output. */
static inline size_t ref_plane_workspace(const qn_call *call) {
    return (size_t)(call->out->shape[2] * call->out->shape[3]) * sizeof(double);
}

/** Adds a value to every element of a window of the sums, `width` a row. */
static inline void ref_plane_add(double *sums, int64_t width, ref_span rows, ref_span columns,
                                 double value) {
    for (int64_t i = rows.first; i < rows.end; i++)
        for (int64_t j = columns.first; j < columns.end; j++)
            sums[i * width + j] += value;
}

#endif
