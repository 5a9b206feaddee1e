/* limit_norm_simd.c: rows whose Euclidean norm is above the limit are scaled down to it. */
#include <math.h>

#include "simd_reduce.h"

/* Elements of a task. */
enum { PIECE = 16384 };

typedef struct limit_norm {
    float *x;
    int64_t rows, width, group; /* group: rows of a task */
    double limit;
} limit_norm;

static const char *limit_norm_declines(const qn_call *call) {
    return call->in[0].dtype == QN_F32 ? NULL : "f32 only";
}

static void scale_row(float *x, int64_t n, float factor) {
    int64_t i = 0;
    for (; i + V_WIDTH <= n; i += V_WIDTH)
        v_store(x + i, v_load(x + i) * factor);
    if (i < n)
        v_store_part(x + i, v_load_part(x + i, n - i) * factor, n - i);
}

static void limit_norm_task(const void *arg, int64_t task) {
    const limit_norm *l = arg;
    const int64_t end = (task + 1) * l->group < l->rows ? (task + 1) * l->group : l->rows;
    for (int64_t row = task * l->group; row < end; row++) {
        float *x = l->x + row * l->width;
        const double norm = sqrt(simd_reduce_squares.row(x, l->width, 0.0f));
        if (norm > l->limit)
            scale_row(x, l->width, (float)(l->limit / norm));
    }
}

static qn_status limit_norm_run(const qn_call *call) {
    const qn_view *x = &call->in[0];
    const int64_t count = qn_view_count(x);
    if (count == 0)
        return QN_OK;
    limit_norm l = {.x = x->data, .rows = x->shape[0], .width = count / x->shape[0]};
    l.limit = ((const qn_scalar_attrs *)call->attrs)->value;
    l.group = l.width < PIECE ? PIECE / l.width : 1;
    simd_parallel(simd_threads(call, count), (l.rows + l.group - 1) / l.group, limit_norm_task, &l);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(limit_norm) = {
    .size = sizeof(qn_kernel),
    .op = "limit_norm",
    .declines = limit_norm_declines,
    .run = limit_norm_run,
    .attrs_size = sizeof(qn_scalar_attrs),
};
