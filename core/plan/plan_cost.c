/* plan_cost.c: what a call costs: the bytes that it moves, and its floating-point operations, and
 * how long a plan takes at least.
 *
 * An addition, a multiplication and a comparison are one operation each, and so is a function (exp,
 * tanh, a square root). What the formulas of kernels/README.md need is counted, not what a kernel
 * does beside it; elements that padding or a mask leaves out count as the others. */
#include <math.h>
#include <string.h>

#include "trace.h"

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
     " adaptive_avg_pool2d argmax avg_pool2d embedding_grad fold max max_pool2d mean min "
     "scatter_add sequence_max sequence_mean sum "},
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

/** Two for each multiplication that is added, in products, convolutions and what has them inside;
 * -1 for the rest. */
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

/** Of recurrent layers and attention, with what is done to each gate and score, and of rows of
 * tables that are added up; -1 for the rest. */
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
    if (strcmp(op, "embedding_bag") == 0) /* in: table, indices */
        return count(&in[1]) * extent(&in[0], 0);
    if (strcmp(op, "embedding_grad_rows") == 0) /* in: gradient, indices */
        return count(&in[1]) * extent(&in[0], 0);
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
    size_t bytes = view->data ? qn_dtype_size(view->dtype) : 0;
    for (int axis = 0; axis < view->rank; axis++)
        bytes *= view->stride[axis] == 0 ? 1 : (size_t)view->shape[axis];
    return bytes;
}

/* ---- calls of a trace ---------------------------------------------------------------------- */

/** Whether a call is an optimizer's step that moves the rows marked in its last input alone. Which
 * they are is not known from shapes: the mark alone is counted. */
static bool moves_marked_rows(const qni_plan_node *node, const qn_view *in) {
    const char *step = strstr(node->op->name, "_step");
    return step && step[5] == '\0' && in[node->call.n_in - 1].data;
}

/** Whether view i of a call is a table of which it reads or writes the rows that input 1 names. */
static bool is_table(const char *op, int i) {
    if (strcmp(op, "embedding_grad_rows") == 0)
        return i >= 2; /* the gradient, and the marks of its rows */
    return i == 0 && (strcmp(op, "embedding") == 0 || strcmp(op, "embedding_bag") == 0);
}

/** Bytes of a call's view i: twice those of what it changes in place, which it reads and writes. */
static double bytes_of(const qni_plan_node *node, const qn_view *views, int i) {
    double bytes = (double)qni_view_bytes(&views[i]);
    if (bytes > 0 && is_table(node->op->name, i))
        bytes *= fmin(1, count(&views[1]) / (double)views[i].shape[0]);
    const bool changed = i < node->call.n_in && node->op->mutates >> i & 1;
    return changed ? 2 * bytes : bytes;
}

/** Whether a call uses a view at a place. */
static bool uses(const qni_trace *trace, const qni_plan_node *node, qni_place place) {
    for (int i = 0; i < qni_node_views(node); i++) {
        const qni_place at = trace->places[node->view + i];
        if (at.block == place.block && at.offset == place.offset)
            return true;
    }
    return false;
}

/** Whether view i of a fused call's part costs no bytes: it lies in scratch, or a part before has
 * it in the cache. */
static bool is_near(const qni_trace *trace, const qni_fused *fused, int part, int i) {
    bool near = fused->cut[part][i].slot >= 0;
    for (int p = 0; p < part && !near; p++)
        near = uses(trace, &fused->part[p], trace->places[fused->part[part].view + i]);
    return near;
}

/** Cost of a call with its own views, or of a fused call's part. */
static qni_cost cost_of(const qni_trace *trace, const qni_plan_node *call, const qni_fused *fused,
                        int part) {
    const qn_view *in = trace->views + call->view;
    if (!call->op)
        return (qni_cost){0};
    if (moves_marked_rows(call, in))
        return (qni_cost){.bytes = (double)qni_view_bytes(&in[call->call.n_in - 1])};
    qni_cost cost = {fmax(0, qni_operations(call->call.op, in, in + call->call.n_in)), 0};
    for (int i = 0; i < qni_node_views(call); i++)
        if (!fused || !is_near(trace, fused, part, i))
            cost.bytes += bytes_of(call, in, i);
    return cost;
}

qni_cost qni_part_cost(const qni_trace *trace, const qni_fused *fused, int part) {
    return cost_of(trace, &fused->part[part], fused, part);
}

qni_cost qni_node_cost(const qni_trace *trace, const qni_plan_node *node) {
    if (!node->fused)
        return cost_of(trace, node, NULL, 0);
    qni_cost sum = {0};
    for (int p = 0; p < node->fused->count; p++) {
        const qni_cost part = qni_part_cost(trace, node->fused, p);
        sum.operations += part.operations;
        sum.bytes += part.bytes;
    }
    return sum;
}

double qni_trace_floor(const qni_trace *trace, double operations_rate, double bytes_rate) {
    double seconds = 0;
    for (int i = 0; i < trace->node_room.count; i++) {
        const qni_cost cost = qni_node_cost(trace, &trace->nodes[i]);
        seconds += fmax(cost.operations / operations_rate, cost.bytes / bytes_rate);
    }
    return seconds;
}
