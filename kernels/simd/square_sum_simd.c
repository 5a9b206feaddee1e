/* square_sum_simd.c: sum of x^2 over all elements, added up in f64. */
#include "simd.h"

/* Elements of a task. */
enum { PIECE = 16384 };

static const char *square_sum_declines(const qn_call *call) {
    const qn_view *x = &call->in[0];
    return x->dtype == QN_F32 && qn_view_is_contiguous(x) ? NULL : "contiguous f32 only";
}

static int64_t count_pieces(const qn_call *call) {
    return (qn_view_count(&call->in[0]) + PIECE - 1) / PIECE;
}

static size_t square_sum_workspace(const qn_call *call) {
    return (size_t)count_pieces(call) * sizeof(double);
}

static void square_sum_task(const void *arg, int64_t index) {
    const qn_call *call = arg;
    const float *x = call->in[0].data;
    int64_t i = index * PIECE, end = qn_view_count(&call->in[0]);
    end = end < i + PIECE ? end : i + PIECE;
    vd low = {0}, high = {0};
    for (; i < end; i += V_WIDTH) {
        vf v = i + V_WIDTH <= end ? v_load(x + i) : v_load_part(x + i, end - i);
        low += v_low_double(v) * v_low_double(v);
        high += v_high_double(v) * v_high_double(v);
    }
    ((double *)call->workspace)[index] = v_sum_double(low + high);
}

static qn_status square_sum_run(const qn_call *call) {
    const double *partial = call->workspace;
    int64_t pieces = count_pieces(call);
    simd_parallel(simd_threads(call, pieces * PIECE), pieces, square_sum_task, call);
    double total = 0;
    for (int64_t piece = 0; piece < pieces; piece++)
        total += partial[piece];
    *(float *)call->out[0].data = (float)total;
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(square_sum) = {
    .size = sizeof(qn_kernel),
    .op = "square_sum",
    .declines = square_sum_declines,
    .workspace = square_sum_workspace,
    .run = square_sum_run,
};
