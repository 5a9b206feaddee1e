/* simd_fill.c: see simd_fill.h. */
#include "simd_fill.h"

#include <string.h>

#include "simd_step.h"

/* Bytes of a task: of as many f32 as a task of an optimizer's step has, so that on machines with
 * several nodes of memory parameters, gradients and state lie with the threads that move them (a
 * page lies where it is first touched). */
enum { PIECE = SIMD_STEP_PIECE * 4 };

typedef struct fill {
    char *data;
    int64_t bytes;
    float value; /* bytes of zero, if it is 0 */
} fill;

const char *simd_fill_declines(const qn_view *view, double value) {
    if (!qn_view_is_contiguous(view))
        return "contiguous memory only";
    return view->dtype == QN_F32 || value == 0 ? NULL : "f32 or zeros only";
}

static void fill_task(const void *arg, int64_t index) {
    const fill *f = arg;
    int64_t begin = index * PIECE, bytes = f->bytes - begin < PIECE ? f->bytes - begin : PIECE;
    if (f->value == 0) {
        memset(f->data + begin, 0, (size_t)bytes);
        return;
    }
    float *to = (float *)(f->data + begin);
    int64_t count = bytes / (int64_t)sizeof(float), i = 0;
    for (; i + V_WIDTH <= count; i += V_WIDTH)
        v_store(to + i, v_set(f->value));
    if (i < count)
        v_store_part(to + i, v_set(f->value), count - i);
}

void simd_fill(const qn_call *call, const qn_view *view, double value) {
    int64_t bytes = qn_view_count(view) * (int64_t)qn_dtype_size(view->dtype);
    fill f = {view->data, bytes, (float)value};
    simd_parallel(simd_threads(call, bytes / 4), (bytes + PIECE - 1) / PIECE, fill_task, &f);
}
