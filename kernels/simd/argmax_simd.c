/* argmax_simd.c: position of the first greatest element along a contiguous axis; NaN counts as
 * greatest. The greatest is found first, then its place. */
#include "simd_reduce.h"
#include "simd_rows.h"

static const char *argmax_declines(const qn_call *call) {
    const qn_axis_attrs *attrs = call->attrs;
    return simd_rows_declines(call, 1, attrs->axis);
}

static int64_t first_equal(const float *x, int64_t n, float value) {
    int64_t i = 0;
    for (; i + V_WIDTH <= n; i += V_WIDTH) {
        vf v = v_load(x + i);
        if (v_any((v == value) | (v != v)))
            break;
    }
    while (i < n - 1 && x[i] != value && x[i] == x[i])
        i++;
    return i;
}

static void argmax_row(const qn_call *call, int64_t row) {
    const qn_view *x = &call->in[0];
    int64_t n = x->shape[x->rank - 1];
    const float *from = simd_row(x, row);
    float greatest = (float)simd_reduce_max.row(from, n, 0.0f);
    ((int64_t *)call->out[0].data)[row] = first_equal(from, n, greatest);
}

static qn_status argmax_run(const qn_call *call) { return simd_rows_run(call, argmax_row); }

const qn_kernel SIMD_KERNEL(argmax) = {
    .size = sizeof(qn_kernel),
    .op = "argmax",
    .declines = argmax_declines,
    .run = argmax_run,
    .attrs_size = sizeof(qn_axis_attrs),
};
