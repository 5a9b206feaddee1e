/* plan_cost.c: what a call costs: the bytes that it moves, and its floating-point operations.
 *
 * An addition, a multiplication and a comparison are one operation each, and so is a function (exp, tanh, a square
 * root). What the formulas of kernels/README.md need is counted, not what a kernel does beside it; elements that
 * padding or a mask leaves out count as the others. */
#include <string.h>

#include "plan.h"

/* Elements that a cost is for: those of the first output, or of the first input. */
typedef enum basis { OUTPUT, INPUT } basis;

static const struct {
    basis of;
    double each;
    const char *ops; /* a space before and behind each */
} costs[] = {
    {OUTPUT, 0,
     " cast concat copy embedding fill gather normal one_hot pad sequence_lengths sign sort "
     "uniform where "},
    {OUTPUT, 1,
     " abs add clamp_grad div dropout dropout_grad equal exp greater greater_equal leaky_relu_grad "
     "less less_equal "
     "log max_pool2d_grad maximum minimum mul neg not_equal pow relu relu_grad rsqrt "
     "sequence_max_grad "
     "sequence_mean_grad sqrt sub tanh adaptive_avg_pool2d_grad avg_pool2d_grad cumsum "},
    {OUTPUT, 2, " affine clamp leaky_relu mae moving_average moving_average_grad mse "},
    {OUTPUT, 3, " sigmoid sigmoid_grad softplus softplus_grad tanh_grad "},
    {OUTPUT, 4, " cross_entropy_grad silu log_softmax_grad softmax_grad "},
    {OUTPUT, 5, " huber bce_with_logits "},
    {OUTPUT, 6, " gelu silu_grad "},
    {OUTPUT, 10, " gelu_grad "},
    {OUTPUT, 12, " batch_norm_grad layer_norm_grad "},
    {INPUT, 0, " clip_factor loss_scale_update "},
    {INPUT, 1,
     " adaptive_avg_pool2d argmax avg_pool2d embedding_bag embedding_grad embedding_grad_rows fold "
     "max max_pool2d mean "
     "min scatter_add sequence_max sequence_mean sum "},
    {INPUT, 2, " square_sum "},
    {INPUT, 3, " limit_norm "},
    {INPUT, 4, " cross_entropy var "},
    {INPUT, 5, " log_softmax softmax "},
    {INPUT, 7, " sgd_step "},
    {INPUT, 8, " batch_norm layer_norm "},
    {INPUT, 14, " adam_step rmsprop_step "},
    {INPUT, 18, " adadelta_step "},
};
enum { COSTS = sizeof(costs) / sizeof(costs[0]) };

static double count(const qn_view *view) { return (double)qn_view_count(view); }

/** Extent of an axis, counted from the last. */
static double extent(const qn_view *view, int back) {
    return view->rank > back ? (double)view->shape[view->rank - 1 - back] : 1;
}

/** Two for each multiplication that is added, in products, convolutions and what has them inside; -1 for the
 * rest. */
static double products(const char *op, const qn_view *in, const qn_view *out) {
    if (strcmp(op, "matmul") == 0)
        return 2 * count(out) * extent(&in[0], 0);
    if (strcmp(op, "conv2d") == 0) /* a kernel for each output */
        return 2 * count(out) * count(&in[1]) / (double)in[1].shape[0];
    if (strcmp(op, "conv2d_grad_input") == 0) /* in: gradient, weight */
        return 2 * count(&in[0]) * count(&in[1]) / (double)in[1].shape[0];
    if (strcmp(op, "conv2d_grad_weight") == 0) /* in: input, gradient */
        return 2 * count(&in[1]) * count(out) / (double)out[0].shape[0];
    if (strcmp(op, "conv1d_max") == 0) /* a kernel for each step and filter */
        return 2 * (double)in[0].shape[0] * extent(&in[0], 1) * count(&in[1]);
    if (strcmp(op, "conv1d_max_grad_input") == 0) /* the windows that won */
        return 2 * count(&in[0]) * count(&in[1]) / (double)in[1].shape[0];
    if (strcmp(op, "conv1d_max_grad_weight") == 0)
        return 2 * count(&in[0]) * count(out) / (double)out[0].shape[0];
    return -1;
}

/** Of recurrent layers and attention, with what is done to each gate and score; -1 for the rest. */
static double sequences(const char *op, const qn_view *in, const qn_view *out) {
    const double states = count(&out[0]);
    if (strcmp(op, "lstm") == 0) /* out: y [t, n, h] */
        return states * (8 * extent(&out[0], 0) + 13);
    if (strcmp(op, "gru") == 0)
        return states * (6 * extent(&out[0], 0) + 13);
    if (strcmp(op, "lstm_grad") == 0) /* out: gradient of the gates [t, n, 4 h] */
        return states / 4 * (2 * extent(&out[0], 0) + 25);
    if (strcmp(op, "gru_grad") == 0)
        return states / 3 * (2 * extent(&out[0], 0) + 25);
    if (strcmp(op, "attention") == 0) /* in: q, k [n, t, heads, d]; two products and a softmax */
        return count(&in[0]) * (double)in[1].shape[1] * (4 + 5 / extent(&in[0], 0));
    if (strcmp(op, "attention_grad") == 0) /* in: g, q, k; five products */
        return count(&in[1]) * (double)in[2].shape[1] * (10 + 8 / extent(&in[1], 0));
    return -1;
}

double qni_operations(const char *op, const qn_view *in, const qn_view *out) {
    char word[64];
    snprintf(word, sizeof(word), " %s ", op);
    for (int i = 0; i < COSTS; i++)
        if (strstr(costs[i].ops, word))
            return costs[i].each > 0 ? costs[i].each * count(costs[i].of == OUTPUT ? out : in) : 0;
    const double found = products(op, in, out);
    return found >= 0 ? found : sequences(op, in, out);
}

size_t qni_view_bytes(const qn_view *view) {
    return view->data ? (size_t)qn_view_count(view) * qn_dtype_size(view->dtype) : 0;
}
