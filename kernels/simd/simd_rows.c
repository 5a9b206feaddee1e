/* simd_rows.c: the walk over rows (see simd_rows.h). */
#include "simd_rows.h"

/* Elements of a task. */
enum { PIECE = 8192 };

typedef struct rows {
    const qn_call *call;
    simd_row_task task;
    int64_t count, group; /* rows in all, and of a task */
} rows;

const char *simd_rows_declines(const qn_call *call, int inputs, int axis) {
    for (int k = 0; k < inputs; k++) {
        const qn_view *x = &call->in[k];
        if (x->dtype != QN_F32)
            return "f32 only";
        if (axis != x->rank - 1 || (x->stride[axis] != 1 && x->shape[axis] > 1))
            return "a contiguous last axis only";
    }
    return NULL;
}

static void rows_task(const void *arg, int64_t index) {
    const rows *r = arg;
    int64_t row = index * r->group;
    int64_t end = row + r->group < r->count ? row + r->group : r->count;
    for (; row < end; row++)
        r->task(r->call, row);
}

qn_status simd_rows_run(const qn_call *call, simd_row_task task) {
    const qn_view *x = &call->in[0];
    int64_t elements = qn_view_count(x);
    if (elements == 0)
        return QN_OK;
    int64_t n = x->shape[x->rank - 1];
    rows r = {call, task, elements / n, n < PIECE ? PIECE / n : 1};
    simd_parallel(simd_threads(call, 4 * elements), (r.count + r.group - 1) / r.group, rows_task,
                  &r);
    return QN_OK;
}
