/* plan_cost.c: what a call costs: the bytes that it moves, and its floating-point operations, and
 * how long a plan takes at least.
 *
 * An addition, a multiplication and a comparison are one operation each, and so is a function (exp,
 * tanh, a square root). What the formulas of kernels/README.md need is counted, not what a kernel
 * does beside it; elements that padding or a mask leaves out count as the others. */
#include <math.h>

#include "trace.h"

double qni_operations(const qni_op *op, const qn_view *in, const qn_view *out) {
    switch (op->cost.of) {
    case QNI_PER_OUTPUT:
        return op->cost.each > 0 ? op->cost.each * qni_count(out) : 0;
    case QNI_PER_INPUT:
        return op->cost.each > 0 ? op->cost.each * qni_count(in) : 0;
    case QNI_FORMULA:
        return op->cost.formula(in, out);
    case QNI_NOT_SAID:
        break;
    }
    return -1;
}

size_t qni_view_bytes(const qn_view *view) {
    size_t bytes = view->data ? qn_dtype_size(view->dtype) : 0;
    for (int axis = 0; axis < view->rank; axis++)
        bytes *= view->stride[axis] == 0 ? 1 : (size_t)view->shape[axis];
    return bytes;
}

/* ---- calls of a trace ---------------------------------------------------------------------- */

/** The input that marks the rows which a call works on alone; NULL where there is none. */
static const qn_view *marks_of(const qni_plan_node *node, const qn_view *in) {
    for (int i = 0; i < node->call.n_in; i++)
        if (node->op->cost.marks >> i & 1 && in[i].data)
            return &in[i];
    return NULL;
}

/** Bytes of a call's view i: twice those of what it changes in place, which it reads and writes. */
static double bytes_of(const qni_plan_node *node, const qn_view *views, int i) {
    double bytes = (double)qni_view_bytes(&views[i]);
    if (bytes > 0 && node->op->cost.looked_up >> i & 1)
        bytes *= fmin(1, qni_count(&views[1]) / (double)views[i].shape[0]);
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
    const qn_view *marks = marks_of(call, in);
    if (marks)
        return (qni_cost){.bytes = (double)qni_view_bytes(marks)};
    qni_cost cost = {fmax(0, qni_operations(call->op, in, in + call->call.n_in)), 0};
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
