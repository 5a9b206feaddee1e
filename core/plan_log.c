/* plan_log.c: a plan in words: each call with its shapes, the bytes that it moves and the floating-point
 * operations of products and convolutions. */
#include <string.h>

#include "plan.h"

static size_t bytes_of(const qn_view *view) {
    return view->data ? (size_t)qn_view_count(view) * qn_dtype_size(view->dtype) : 0;
}

static double last_but(const qn_view *view, int back) {
    return view->rank > back ? (double)view->shape[view->rank - 1 - back] : 1;
}

/** Two for each multiplication that is added; 0 for what is neither product nor convolution. */
static double operations(const qni_plan_node *node) {
    const qn_call *call = &node->call;
    const char *op = call->op;
    if (call->n_out == 0 || call->n_in < 2)
        return 0;
    const double outputs = (double)qn_view_count(&call->out[0]);
    if (strcmp(op, "matmul") == 0 || strcmp(op, "linear") == 0)
        return 2 * outputs * last_but(&call->in[0], 0);
    if (strcmp(op, "conv2d") == 0) /* a kernel for each output */
        return 2 * outputs * (double)qn_view_count(&call->in[1]) / (double)call->in[1].shape[0];
    if (strcmp(op, "conv2d_grad_input") == 0) /* in: gradient, weight */
        return 2 * (double)qn_view_count(&call->in[0]) * (double)qn_view_count(&call->in[1]) /
               (double)call->in[1].shape[0];
    if (strcmp(op, "conv2d_grad_weight") == 0) /* in: input, gradient */
        return 2 * (double)qn_view_count(&call->in[1]) * outputs / (double)call->out[0].shape[0];
    return 0;
}

static void log_shapes(const qn_view *views, int count) {
    for (int i = 0; i < count; i++)
        if (views[i].data)
            fprintf(stderr, " %s%s", qni_shape_text(qni_shape_of(&views[i])).s,
                    qn_view_is_contiguous(&views[i]) ? "" : "*");
}

static void log_call(int index, const qni_plan_node *node) {
    size_t bytes = 0;
    for (int i = 0; i < node->call.n_in; i++)
        bytes += bytes_of(&node->call.in[i]);
    for (int i = 0; i < node->call.n_out; i++)
        bytes += bytes_of(&node->call.out[i]);
    fprintf(stderr, "quern: plan: %4d %s%s:", index, node->op->name,
            node->kernel ? "" : " (on the host)");
    log_shapes(node->call.in, node->call.n_in);
    if (node->call.n_out > 0)
        fputs(" ->", stderr);
    log_shapes(node->call.out, node->call.n_out);
    fprintf(stderr, ", %zu bytes", bytes);
    if (operations(node) > 0)
        fprintf(stderr, ", %.0f operations", operations(node));
    fputc('\n', stderr);
}

static void log_node(int index, const qni_plan_node *node) {
    if (!node->op) {
        fprintf(stderr, "quern: plan: %4d host\n", index);
        return;
    }
    if (!node->fused) {
        log_call(index, node);
        return;
    }
    const qni_fused *f = node->fused;
    fprintf(stderr, "quern: plan: %4d fused: %d calls, %lld rows in blocks of %lld:\n", index,
            f->count, (long long)f->rows, (long long)f->block);
    for (int p = 0; p < f->count; p++)
        log_call(index, &f->part[p]);
}

void qni_trace_log(const qni_trace *trace) {
    double total = 0;
    for (int i = 0; i < trace->node_room.count; i++) {
        log_node(i, &trace->nodes[i]);
        total += operations(&trace->nodes[i]);
    }
    fprintf(stderr,
            "quern: plan: %d calls, %.0f operations, %zu bytes placed (%zu when each is taken)%s\n",
            trace->node_room.count, total, trace->placed_bytes, trace->eager_bytes,
            trace->graph ? ", one launch" : "");
}
