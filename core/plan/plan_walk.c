/* plan_walk.c: a recorded step as a graph that programs can look at.
 *
 * It is noted beside the list that is replayed (plan_trace.c), since that one has no views, and
 * loses calls and values to fusion. A value is a tensor: it knows its number while the step is
 * recorded, so that one which is written in place keeps it. */
#include <stdlib.h>

#include "trace.h"

/* ---- noting ------------------------------------------------------------------------------ */

qni_graph_node *qni_graph_add(qni_trace *trace, const qni_op *op, const void *attrs) {
    qni_graph *graph = &trace->graph_of_step;
    const size_t size = attrs ? op->attrs_size : 0;
    size_t at = 0;
    if (trace->failed ||
        !qni_room_for(&graph->nodes, &graph->node_room, 1, sizeof(*graph->nodes)) ||
        (size > 0 && !qni_put_attrs(&graph->attrs, &graph->attrs_room, attrs, size, &at))) {
        trace->failed = true;
        return NULL;
    }
    qni_graph_node *node = &graph->nodes[graph->node_room.count++];
    *node =
        (qni_graph_node){.op = op, .value = graph->use_room.count, .attrs = at, .attrs_size = size};
    return node;
}

/** The value that a tensor is, a new one where the graph has not met it; -1 when memory is out. */
static int value_of(qni_trace *trace, qn_tensor *x, int node) {
    qni_graph *graph = &trace->graph_of_step;
    if (x->trace == trace->serial)
        return x->value;
    if (!qni_room_for(&graph->values, &graph->value_room, 1, sizeof(*graph->values))) {
        trace->failed = true;
        return -1;
    }
    x->trace = trace->serial;
    x->value = graph->value_room.count++;
    graph->values[x->value] = (qni_graph_value){.view = x->view,
                                                .node = x->life == QNI_KEPT ? -1 : node,
                                                .tensor = x->life == QNI_KEPT ? x : NULL,
                                                .storage = x->storage};
    return x->value;
}

static void add_use(qni_trace *trace, qn_tensor *x, int node) {
    qni_graph *graph = &trace->graph_of_step;
    if (!qni_room_for(&graph->uses, &graph->use_room, 1, sizeof(*graph->uses))) {
        trace->failed = true;
        return;
    }
    graph->uses[graph->use_room.count++] = x ? value_of(trace, x, node) : -1;
}

void qni_graph_operands(qni_trace *trace, qni_graph_node *node, qn_tensor *const *in, int n_in,
                        qn_tensor *const *out, int n_out) {
    const int index = (int)(node - trace->graph_of_step.nodes);
    node->n_in = n_in;
    node->n_out = n_out;
    for (int i = 0; i < n_in; i++)
        add_use(trace, in[i], -1);
    for (int i = 0; i < n_out; i++)
        add_use(trace, out[i], index);
}

/** Inputs are handed in before any call, in their order, and so get their own numbers. */
void qni_graph_input(qni_trace *trace, int i, qn_tensor *x) {
    if (value_of(trace, x, -1) != i)
        trace->failed = true;
}

void qni_graph_output(qni_trace *trace, int i, qn_tensor *x) {
    trace->graph_of_step.out[i] = value_of(trace, x, -1);
}

void qni_graph_free(qni_graph *graph) {
    free(graph->nodes);
    free(graph->values);
    free(graph->uses);
    free(graph->attrs);
}

/* ---- looking ----------------------------------------------------------------------------- */

int qn_plan_node_count(const qn_plan *plan) {
    const qni_trace *trace = qni_plan_last(plan);
    return trace ? trace->graph_of_step.node_room.count : 0;
}

/** Node `index` of the graph that programs look at, which comes back in *graph; NULL: none. */
static const qni_graph_node *node_at(const qn_plan *plan, int index, const qni_graph **graph) {
    const qni_trace *trace = qni_plan_last(plan);
    if (!trace || index < 0 || index >= trace->graph_of_step.node_room.count)
        return NULL;
    *graph = &trace->graph_of_step;
    return &(*graph)->nodes[index];
}

qn_plan_node qn_plan_node_at(const qn_plan *plan, int index) {
    const qni_graph *graph;
    const qni_graph_node *node = node_at(plan, index, &graph);
    if (!node)
        return (qn_plan_node){0};
    if (!node->op)
        return (qn_plan_node){.name = "host_call", .kind = QN_NODE_HOST};
    const int *uses = graph->uses + node->value;
    return (qn_plan_node){.name = node->op->name,
                          .kind = node->op->view ? QN_NODE_VIEW : QN_NODE_CALL,
                          .inputs = node->n_in,
                          .outputs = node->n_out,
                          .input = uses,
                          .output = uses + node->n_in,
                          .mutates = node->op->mutates,
                          .attrs = node->attrs_size > 0 ? graph->attrs + node->attrs : NULL,
                          .attrs_size = node->attrs_size};
}

const char *qn_plan_attribute(const qn_plan *plan, int index, int which, double *values,
                              int *count) {
    const qni_graph *graph;
    const qni_graph_node *node = node_at(plan, index, &graph);
    const qni_field *field = node && node->attrs_size > 0 ? node->op->fields : NULL;
    for (int i = 0; field && field->name && i < which; i++)
        field++;
    if (!field || !field->name || which < 0)
        return NULL;
    const int room = count ? *count : 0;
    for (int i = 0; values && i < room && i < field->count; i++)
        values[i] = qni_field_value(field, graph->attrs + node->attrs, i);
    if (count)
        *count = field->count;
    return field->name;
}

int qn_plan_value_count(const qn_plan *plan) {
    const qni_trace *trace = qni_plan_last(plan);
    return trace ? trace->graph_of_step.value_room.count : 0;
}

/** A kept tensor, if it is still there. */
static qn_tensor *still_kept(const qni_trace *trace, const qni_graph_value *value) {
    const qni_list *kept = &trace->ctx->kept;
    for (int i = 0; value->tensor && i < kept->count; i++)
        if (kept->items[i] == value->tensor && value->tensor->storage == value->storage)
            return value->tensor;
    return NULL;
}

qn_plan_value qn_plan_value_at(const qn_plan *plan, int index) {
    const qni_trace *trace = qni_plan_last(plan);
    qn_plan_value value = {.node = -1, .input = -1, .output = -1};
    if (!trace || index < 0 || index >= trace->graph_of_step.value_room.count)
        return value;
    const qni_graph *graph = &trace->graph_of_step;
    const qni_graph_value *seen = &graph->values[index];
    value.dtype = seen->view.dtype;
    value.shape = qni_shape_of(&seen->view);
    for (int axis = 0; axis < seen->view.rank; axis++)
        value.stride[axis] = seen->view.stride[axis];
    value.node = seen->node;
    value.input = index < trace->n_in ? index : -1;
    for (int i = trace->n_out - 1; i >= 0; i--)
        value.output = graph->out[i] == index ? i : value.output;
    value.tensor = still_kept(trace, seen);
    return value;
}
