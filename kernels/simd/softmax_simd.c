/* softmax_simd.c: e^x / sum(e^x) along the last axis, stable, and its gradient. */
#include "simd_softmax.h"

static const char *softmax_declines(const qn_call *call) {
    const qn_axis_attrs *attrs = call->attrs;
    return simd_rows_declines(call, call->n_in, attrs->axis);
}

static void softmax_row(const qn_call *call, int64_t row) {
    const qn_view *x = &call->in[0];
    int64_t n = x->shape[x->rank - 1];
    float *y = (float *)call->out[0].data + row * n;
    const float *from = simd_row(x, row);
    float greatest = (float)simd_reduce_max.row(from, n, 0.0f);
    vf factor = v_set((float)(1.0 / simd_exp_sum(from, n, greatest, y)));
    int64_t i = 0;
    for (; i + V_WIDTH <= n; i += V_WIDTH)
        v_store(y + i, factor * v_load(y + i));
    if (i < n)
        v_store_part(y + i, factor * v_load_part(y + i, n - i), n - i);
}

static qn_status softmax_run(const qn_call *call) { return simd_rows_run(call, softmax_row); }

const qn_kernel SIMD_KERNEL(softmax) = {
    .size = sizeof(qn_kernel),
    .op = "softmax",
    .declines = softmax_declines,
    .run = softmax_run,
    .attrs_size = sizeof(qn_axis_attrs),
};

/* dx = y (g - sum(g y)). */
static void softmax_grad_row(const qn_call *call, int64_t row) {
    const qn_view *y_view = &call->in[1];
    int64_t n = y_view->shape[y_view->rank - 1], i = 0;
    const float *g = simd_row(&call->in[0], row), *y = simd_row(y_view, row);
    float *dx = (float *)call->out[0].data + row * n;
    vf sum = {0};
    for (; i + V_WIDTH <= n; i += V_WIDTH)
        sum = v_fma(v_load(g + i), v_load(y + i), sum);
    if (i < n)
        sum = v_fma(v_load_part(g + i, n - i), v_load_part(y + i, n - i), sum);
    vf dot = v_set(v_sum(sum));
    for (i = 0; i + V_WIDTH <= n; i += V_WIDTH)
        v_store(dx + i, v_load(y + i) * (v_load(g + i) - dot));
    if (i < n)
        v_store_part(dx + i, v_load_part(y + i, n - i) * (v_load_part(g + i, n - i) - dot), n - i);
}

static qn_status softmax_grad_run(const qn_call *call) {
    return simd_rows_run(call, softmax_grad_row);
}

const qn_kernel SIMD_KERNEL(softmax_grad) = {
    .size = sizeof(qn_kernel),
    .op = "softmax_grad",
    .declines = softmax_declines,
    .run = softmax_grad_run,
    .attrs_size = sizeof(qn_axis_attrs),
};
