/* square_sum_simd.c: sum of x^2 over all elements, or those of the rows that are seen, added up in
 * f64. */
#include "simd_table.h"

/* Elements of a task. */
enum { PIECE = 16384 };

static const char *square_sum_declines(const qn_call *call) {
    const qn_view *x = &call->in[0], *seen = &call->in[1];
    bool contiguous = qn_view_is_contiguous(x) && (!seen->data || qn_view_is_contiguous(seen));
    return x->dtype == QN_F32 && contiguous ? NULL : "contiguous f32 only";
}

/* Elements of a task, at least 1. */
static int64_t piece_of(const qn_call *call) {
    const simd_seen rows = simd_seen_open(&call->in[0], &call->in[1]);
    return simd_seen_piece(&rows, PIECE);
}

static int64_t count_pieces(const qn_call *call) {
    const int64_t count = qn_view_count(&call->in[0]), piece = piece_of(call);
    return (count + piece - 1) / piece;
}

static size_t square_sum_workspace(const qn_call *call) {
    return (size_t)count_pieces(call) * sizeof(double);
}

static void square_sum_task(const void *arg, int64_t index) {
    const qn_call *call = arg;
    const float *x = call->in[0].data;
    const simd_seen rows = simd_seen_open(&call->in[0], &call->in[1]);
    const int64_t piece = simd_seen_piece(&rows, PIECE), count = qn_view_count(&call->in[0]);
    const int64_t end = count < (index + 1) * piece ? count : (index + 1) * piece;
    vd low = {0}, high = {0};
    int64_t i = index * piece, stop;
    for (; simd_seen_next(&rows, &i, end, &stop); i = stop)
        for (; i < stop; i += V_WIDTH) {
            vf v = i + V_WIDTH <= stop ? v_load(x + i) : v_load_part(x + i, stop - i);
            low += v_low_double(v) * v_low_double(v);
            high += v_high_double(v) * v_high_double(v);
        }
    ((double *)call->workspace)[index] = v_sum_double(low + high);
}

static qn_status square_sum_run(const qn_call *call) {
    const double *partial = call->workspace;
    int64_t pieces = count_pieces(call);
    simd_parallel(simd_threads(call, qn_view_count(&call->in[0])), pieces, square_sum_task, call);
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
