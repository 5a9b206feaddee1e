/* conv2d and its gradients, each as the sum that defines one element of its output.
 *
 * y[n, o, i, j] = bias[o] + sum over c, p, q of
 *                 x[n, c, i stride - padding + p dilation, j ..] w[o, c', p, q]
 * where c runs over the channels of o's group and c' counts them from 0. */
#include "ref.h"

/** The window of x that ends in one element of y: where it lies, its first row and column. */
typedef struct window {
    int64_t at, top, left;
} window;

/** One element of y before the bias. */
static double conv_sum(const qn_view *x, window from, const qn_view *w, int64_t w_at,
                       const qn_conv2d_attrs *attrs, bool rounds) {
    double total = 0;
    for (int64_t c = 0; c < w->shape[1]; c++)
        for (int64_t p = 0; p < w->shape[2]; p++) {
            int64_t row = from.top + p * attrs->dilation[0];
            if (row < 0 || row >= x->shape[2])
                continue;
            int64_t x_row = from.at + c * x->stride[1] + row * x->stride[2];
            int64_t w_row = w_at + c * w->stride[1] + p * w->stride[2];
            for (int64_t q = 0; q < w->shape[3]; q++) {
                int64_t column = from.left + q * attrs->dilation[1];
                if (column >= 0 && column < x->shape[3])
                    total += ref_load_operand(x, x_row + column * x->stride[3], rounds) *
                             ref_load_operand(w, w_row + q * w->stride[3], rounds);
            }
        }
    return total;
}

static qn_status run(const qn_call *call) {
    const qn_conv2d_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[QN_CONV2D_X], *w = &call->in[QN_CONV2D_W],
                  *bias = &call->in[QN_CONV2D_BIAS], *y = call->out;
    int64_t outputs = y->shape[1], at = 0;
    bool rounds = ref_rounds(call);
    for (int64_t n = 0; n < y->shape[0]; n++)
        for (int64_t o = 0; o < outputs; o++) {
            double start = bias->data ? ref_load(bias, o * bias->stride[0]) : 0;
            int64_t group = o / (outputs / attrs->groups);
            window from = {.at = n * x->stride[0] + group * w->shape[1] * x->stride[1]};
            for (int64_t i = 0; i < y->shape[2]; i++)
                for (int64_t j = 0; j < y->shape[3]; j++) {
                    from.top = i * attrs->stride[0] - attrs->padding[0];
                    from.left = j * attrs->stride[1] - attrs->padding[1];
                    double sum = start + conv_sum(x, from, w, o * w->stride[0], attrs, rounds);
                    ref_store(y, at++, attrs->relu && sum < 0 ? 0 : sum);
                }
        }
    return QN_OK;
}

const qn_kernel qnk_ref_conv2d = {
    .size = sizeof(qn_kernel), .op = "conv2d", .run = run, .attrs_size = sizeof(qn_conv2d_attrs)};

/** The output row (or column) whose window has its tap `k` at input position `at`; -1 for none. */
static int64_t output_of(const qn_conv2d_attrs *attrs, int axis, int64_t at, int64_t k,
                         int64_t extent) {
    int64_t from = at + attrs->padding[axis] - k * attrs->dilation[axis];
    if (from < 0 || from % attrs->stride[axis] != 0)
        return -1;
    return from / attrs->stride[axis] < extent ? from / attrs->stride[axis] : -1;
}

/** The part of dx[n, c, row, column] that comes through output channel o. */
static double grad_input_sum(const qn_view *g, int64_t g_at, const qn_view *w, int64_t w_at,
                             const int64_t position[2], const qn_conv2d_attrs *attrs, bool rounds) {
    double total = 0;
    for (int64_t p = 0; p < w->shape[2]; p++) {
        int64_t i = output_of(attrs, 0, position[0], p, g->shape[2]);
        if (i < 0)
            continue;
        for (int64_t q = 0; q < w->shape[3]; q++) {
            int64_t j = output_of(attrs, 1, position[1], q, g->shape[3]);
            if (j >= 0)
                total += ref_load_operand(g, g_at + i * g->stride[2] + j * g->stride[3], rounds) *
                         ref_load_operand(w, w_at + p * w->stride[2] + q * w->stride[3], rounds);
        }
    }
    return total;
}

static qn_status run_grad_input(const qn_call *call) {
    const qn_conv2d_attrs *attrs = call->attrs;
    const qn_view *g = &call->in[0], *w = &call->in[1], *dx = call->out;
    int64_t outputs = g->shape[1] / attrs->groups;
    int64_t planes = dx->shape[0] * dx->shape[1], at = 0;
    bool rounds = ref_rounds(call);
    for (int64_t plane = 0; plane < planes; plane++) {
        int64_t n = plane / dx->shape[1], c = plane % dx->shape[1];
        int64_t first = c / w->shape[1] * outputs, w_plane = c % w->shape[1] * w->stride[1];
        int64_t position[2];
        for (position[0] = 0; position[0] < dx->shape[2]; position[0]++)
            for (position[1] = 0; position[1] < dx->shape[3]; position[1]++) {
                double total = 0;
                for (int64_t o = first; o < first + outputs; o++)
                    total += grad_input_sum(g, n * g->stride[0] + o * g->stride[1], w,
                                            o * w->stride[0] + w_plane, position, attrs, rounds);
                ref_store(dx, at++, total);
            }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_conv2d_grad_input = {.size = sizeof(qn_kernel),
                                             .op = "conv2d_grad_input",
                                             .run = run_grad_input,
                                             .attrs_size = sizeof(qn_conv2d_attrs)};

/** The part of dw[o, c', p, q] that comes from one sample: tap (p, q) lies at from.top, from.left
 * in the first window. */
static double grad_weight_sum(const qn_view *x, window from, const qn_view *g, int64_t g_at,
                              const qn_conv2d_attrs *attrs, bool rounds) {
    double total = 0;
    for (int64_t i = 0; i < g->shape[2]; i++) {
        int64_t row = from.top + i * attrs->stride[0];
        if (row < 0 || row >= x->shape[2])
            continue;
        int64_t x_row = from.at + row * x->stride[2], g_row = g_at + i * g->stride[2];
        for (int64_t j = 0; j < g->shape[3]; j++) {
            int64_t column = from.left + j * attrs->stride[1];
            if (column >= 0 && column < x->shape[3])
                total += ref_load_operand(x, x_row + column * x->stride[3], rounds) *
                         ref_load_operand(g, g_row + j * g->stride[3], rounds);
        }
    }
    return total;
}

static qn_status run_grad_weight(const qn_call *call) {
    const qn_conv2d_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0], *g = &call->in[1], *dw = call->out;
    int64_t outputs = dw->shape[0] / attrs->groups;
    int64_t planes = dw->shape[0] * dw->shape[1], at = 0;
    bool rounds = ref_rounds(call);
    for (int64_t plane = 0; plane < planes; plane++) {
        int64_t o = plane / dw->shape[1];
        int64_t c = o / outputs * dw->shape[1] + plane % dw->shape[1];
        for (int64_t p = 0; p < dw->shape[2]; p++)
            for (int64_t q = 0; q < dw->shape[3]; q++) {
                window from = {.top = p * attrs->dilation[0] - attrs->padding[0],
                               .left = q * attrs->dilation[1] - attrs->padding[1]};
                double total = 0;
                for (int64_t n = 0; n < x->shape[0]; n++) {
                    from.at = n * x->stride[0] + c * x->stride[1];
                    total += grad_weight_sum(x, from, g, n * g->stride[0] + o * g->stride[1], attrs,
                                             rounds);
                }
                ref_store(dw, at++, total);
            }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_conv2d_grad_weight = {.size = sizeof(qn_kernel),
                                              .op = "conv2d_grad_weight",
                                              .run = run_grad_weight,
                                              .attrs_size = sizeof(qn_conv2d_attrs)};
