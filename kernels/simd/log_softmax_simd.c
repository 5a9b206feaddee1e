/* log_softmax_simd.c: x - ln(sum(e^x)) along the last axis, stable, and its gradient. */
#include "simd_softmax.h"

static const char *log_softmax_declines(const qn_call *call) {
    const qn_axis_attrs *attrs = call->attrs;
    return simd_rows_declines(call, call->n_in, attrs->axis);
}

/* The greatest is taken away before the logarithm, so that large x lose nothing. */
static void log_softmax_row(const qn_call *call, int64_t row) {
    const qn_view *x = &call->in[0];
    int64_t n = x->shape[x->rank - 1], i = 0;
    const float *from = simd_row(x, row);
    float *y = (float *)call->out[0].data + row * n;
    vf greatest = v_set((float)simd_reduce_max.row(from, n, 0.0f));
    vf log_sum = v_set((float)log(simd_exp_sum(from, n, greatest[0], NULL)));
    for (; i + V_WIDTH <= n; i += V_WIDTH)
        v_store(y + i, v_load(from + i) - greatest - log_sum);
    if (i < n)
        v_store_part(y + i, v_load_part(from + i, n - i) - greatest - log_sum, n - i);
}

static qn_status log_softmax_run(const qn_call *call) {
    return simd_rows_run(call, log_softmax_row);
}

const qn_kernel SIMD_KERNEL(log_softmax) = {
    .size = sizeof(qn_kernel),
    .op = "log_softmax",
    .declines = log_softmax_declines,
    .run = log_softmax_run,
    .attrs_size = sizeof(qn_axis_attrs),
};

/* dx = g - e^y sum(g). */
static void log_softmax_grad_row(const qn_call *call, int64_t row) {
    const qn_view *y_view = &call->in[1];
    int64_t n = y_view->shape[y_view->rank - 1], i = 0;
    const float *g = simd_row(&call->in[0], row), *y = simd_row(y_view, row);
    float *dx = (float *)call->out[0].data + row * n;
    vf sum = v_set((float)simd_reduce_sum.row(g, n, 0.0f));
    for (; i + V_WIDTH <= n; i += V_WIDTH)
        v_store(dx + i, v_fma(-v_exp(v_load(y + i)), sum, v_load(g + i)));
    if (i < n)
        v_store_part(dx + i,
                     v_fma(-v_exp(v_load_part(y + i, n - i)), sum, v_load_part(g + i, n - i)),
                     n - i);
}

static qn_status log_softmax_grad_run(const qn_call *call) {
    return simd_rows_run(call, log_softmax_grad_row);
}

const qn_kernel SIMD_KERNEL(log_softmax_grad) = {
    .size = sizeof(qn_kernel),
    .op = "log_softmax_grad",
    .declines = log_softmax_declines,
    .run = log_softmax_grad_run,
    .attrs_size = sizeof(qn_axis_attrs),
};
