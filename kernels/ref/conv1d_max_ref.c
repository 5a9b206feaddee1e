/* conv1d_max and its gradients, over x [n, t, c] and w [o, c, k].
 *
 * y[n, o] = bias[o] + the greatest, over windows i, of
 *           sum over j, c of x[n, i - padding + j, c] w[o, c, j]
 * and index[n, o] is the first i that gives it; a NaN counts as greatest. */
#include "ref.h"

/** One sum: a window of x that starts at step `start` of the sample at `x_at`. */
static double window_sum(const qn_view *x, int64_t x_at, int64_t start, const qn_view *w,
                         int64_t w_at) {
    double total = 0;
    for (int64_t j = 0; j < w->shape[2]; j++) {
        if (start + j < 0 || start + j >= x->shape[1])
            continue;
        int64_t x_step = x_at + (start + j) * x->stride[1], w_step = w_at + j * w->stride[2];
        for (int64_t c = 0; c < w->shape[1]; c++)
            total +=
                ref_load(x, x_step + c * x->stride[2]) * ref_load(w, w_step + c * w->stride[1]);
    }
    return total;
}

/** Windows of sample n that start before its length. */
static int64_t windows_of(const qn_call *call, int64_t n) {
    const qn_view *x = &call->in[QN_CONV1D_MAX_X], *w = &call->in[QN_CONV1D_MAX_W],
                  *lengths = &call->in[QN_CONV1D_MAX_LENGTHS];
    const int64_t padding = ((const qn_conv1d_max_attrs *)call->attrs)->padding;
    const int64_t count = x->shape[1] + 2 * padding - w->shape[2] + 1;
    if (call->n_in < 4 || !lengths->data)
        return count;
    int64_t length = ref_load_index(lengths, n * lengths->stride[0]);
    length = length < 1 ? 1 : length;
    return length < count - padding ? length + padding : count;
}

static qn_status run(const qn_call *call) {
    const qn_view *x = &call->in[QN_CONV1D_MAX_X], *w = &call->in[QN_CONV1D_MAX_W],
                  *bias = &call->in[QN_CONV1D_MAX_BIAS];
    const int64_t padding = ((const qn_conv1d_max_attrs *)call->attrs)->padding;
    int64_t at = 0;
    for (int64_t n = 0; n < x->shape[0]; n++)
        for (int64_t o = 0; o < w->shape[0]; o++, at++) {
            double best = 0;
            int64_t best_at = 0;
            for (int64_t i = 0; i < windows_of(call, n) && best == best; i++) {
                double sum = window_sum(x, n * x->stride[0], i - padding, w, o * w->stride[0]);
                if (i == 0 || !(sum <= best)) {
                    best = sum;
                    best_at = i;
                }
            }
            ref_store(&call->out[QN_CONV1D_MAX_OUT_Y], at,
                      best + (bias->data ? ref_load(bias, o * bias->stride[0]) : 0));
            ((int32_t *)call->out[QN_CONV1D_MAX_OUT_INDEX].data)[at] = (int32_t)best_at;
        }
    return QN_OK;
}

const qn_kernel qnk_ref_conv1d_max = {.size = sizeof(qn_kernel),
                                      .op = "conv1d_max",
                                      .run = run,
                                      .attrs_size = sizeof(qn_conv1d_max_attrs)};

/* ---- gradients --------------------------------------------------------------------------- */

/** An element of a gradient. */
typedef double gradient_sum(const qn_call *call, int64_t i, int64_t j, int64_t k);

static qn_status fill(const qn_call *call, gradient_sum *sum) {
    const qn_view *out = call->out;
    int64_t at = 0;
    for (int64_t i = 0; i < out->shape[0]; i++)
        for (int64_t j = 0; j < out->shape[1]; j++)
            for (int64_t k = 0; k < out->shape[2]; k++)
                ref_store(out, at++, sum(call, i, j, k));
    return QN_OK;
}

/** The first step of the window that won, which may lie before the sample. */
static int64_t winner(const qn_call *call, int64_t n, int64_t o) {
    const qn_view *index = &call->in[QN_CONV1D_MAX_GRAD_INPUT_INDEX];
    const int64_t padding = ((const qn_conv1d_max_attrs *)call->attrs)->padding;
    return ((const int32_t *)index->data)[n * index->stride[0] + o * index->stride[1]] - padding;
}

/** dx[n, step, c] */
static double grad_input_sum(const qn_call *call, int64_t n, int64_t step, int64_t c) {
    const qn_view *g = &call->in[QN_CONV1D_MAX_GRAD_INPUT_G],
                  *w = &call->in[QN_CONV1D_MAX_GRAD_INPUT_W];
    double total = 0;
    for (int64_t o = 0; o < w->shape[0]; o++) {
        int64_t j = step - winner(call, n, o);
        if (j >= 0 && j < w->shape[2])
            total += ref_load(g, n * g->stride[0] + o * g->stride[1]) *
                     ref_load(w, o * w->stride[0] + c * w->stride[1] + j * w->stride[2]);
    }
    return total;
}

static qn_status run_grad_input(const qn_call *call) { return fill(call, grad_input_sum); }

const qn_kernel qnk_ref_conv1d_max_grad_input = {.size = sizeof(qn_kernel),
                                                 .op = "conv1d_max_grad_input",
                                                 .run = run_grad_input,
                                                 .attrs_size = sizeof(qn_conv1d_max_attrs)};

/** dw[o, c, j] */
static double grad_weight_sum(const qn_call *call, int64_t o, int64_t c, int64_t j) {
    const qn_view *g = &call->in[QN_CONV1D_MAX_GRAD_WEIGHT_G],
                  *x = &call->in[QN_CONV1D_MAX_GRAD_WEIGHT_X];
    double total = 0;
    for (int64_t n = 0; n < x->shape[0]; n++) {
        int64_t step = winner(call, n, o) + j;
        if (step >= 0 && step < x->shape[1])
            total += ref_load(g, n * g->stride[0] + o * g->stride[1]) *
                     ref_load(x, n * x->stride[0] + step * x->stride[1] + c * x->stride[2]);
    }
    return total;
}

static qn_status run_grad_weight(const qn_call *call) { return fill(call, grad_weight_sum); }

const qn_kernel qnk_ref_conv1d_max_grad_weight = {.size = sizeof(qn_kernel),
                                                  .op = "conv1d_max_grad_weight",
                                                  .run = run_grad_weight,
                                                  .attrs_size = sizeof(qn_conv1d_max_attrs)};
