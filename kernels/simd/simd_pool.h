/* simd_pool.h: what the pooling kernels share: planes, windows, and the
 * 2x2 window with stride 2. */
#ifndef QN_SIMD_POOL_H
#define QN_SIMD_POOL_H

#include "simd.h"

/** Elements of a task. */
enum { SIMD_POOL_PIECE = 8192 };

/** One plane of the unpooled side (height x width) and of the pooled side (rows x columns), and how
 * many planes there are and make up a task. */
typedef struct simd_pool {
    const qn_call *call;
    const qn_pool2d_attrs *attrs;
    int64_t height, width, rows, columns;
    int64_t planes, group;
} simd_pool;

/** Positions first <= i < end of a window inside the input. */
typedef struct simd_window {
    int64_t first, end;
} simd_window;

/** For qn_kernel.declines: f32 first input, all inputs contiguous. */
static inline const char *simd_pool_declines(const qn_call *call) {
    for (int k = 0; k < call->n_in; k++)
        if (!qn_view_is_contiguous(&call->in[k]))
            return "contiguous inputs only";
    return call->in[0].dtype == QN_F32 ? NULL : "f32 only";
}

/** `full` and `pooled` are the views of the two sides. */
static inline simd_pool simd_pool_open(const qn_call *call, const qn_view *full,
                                       const qn_view *pooled) {
    simd_pool p = {.call = call,
                   .attrs = call->attrs,
                   .height = full->shape[2],
                   .width = full->shape[3],
                   .rows = pooled->shape[2],
                   .columns = pooled->shape[3],
                   .planes = full->shape[0] * full->shape[1]};
    int64_t size = p.height * p.width;
    p.group = size > 0 && size < SIMD_POOL_PIECE ? SIMD_POOL_PIECE / size : 1;
    return p;
}

/** Runs a task for each group of planes. */
static inline qn_status simd_pool_run(const simd_pool *p, simd_task task) {
    int threads = simd_threads(p->call, 2 * p->planes * p->height * p->width);
    simd_parallel(threads, (p->planes + p->group - 1) / p->group, task, p);
    return QN_OK;
}

/** The plane after the last of a task. */
static inline int64_t simd_pool_end(const simd_pool *p, int64_t index) {
    int64_t end = (index + 1) * p->group;
    return end < p->planes ? end : p->planes;
}

/** The window of output position `at` along an axis (0: height, 1: width) of `extent` elements. */
static inline simd_window simd_pool_window(const qn_pool2d_attrs *attrs, int axis, int64_t at,
                                           int64_t extent) {
    int64_t first = at * attrs->stride[axis] - attrs->padding[axis];
    int64_t end = first + attrs->kernel[axis];
    return (simd_window){first < 0 ? 0 : first, end < extent ? end : extent};
}

/** Whether the windows are 2x2 with stride 2, and all inside the input. */
static inline bool simd_pool_is_2x2(const simd_pool *p) {
    const qn_pool2d_attrs *a = p->attrs;
    return a->kernel[0] == 2 && a->kernel[1] == 2 && a->stride[0] == 2 && a->stride[1] == 2 &&
           a->padding[0] == 0 && a->padding[1] == 0 && 2 * p->rows <= p->height &&
           2 * p->columns <= p->width;
}

/** Elements 0, 2, 4 .. and 1, 3, 5 .. of `lanes` pairs at p; lanes <= V_WIDTH. */
SIMD_INLINE void v_load_pairs(const float *p, int64_t lanes, vf *even, vf *odd) {
    int64_t count = 2 * lanes;
    vf a = v_load_part(p, count < V_WIDTH ? count : V_WIDTH);
    vf b = count > V_WIDTH ? v_load_part(p + V_WIDTH, count - V_WIDTH) : a;
    v_unzip(a, b, even, odd);
}

#endif
