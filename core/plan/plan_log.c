/* plan_log.c: a plan in words, before and after fusion: each call with its operands, its
 * attributes, the bytes that it moves and its floating-point operations. */
#include "trace.h"

static void log_operands(const char *names, const qn_view *views, int count) {
    for (int i = 0; i < count; i++) {
        int length;
        const char *name = qni_operand_name(names, i, &length);
        if (views[i].data)
            fprintf(stderr, " %.*s %s%s", length, name, qn_shape_text(qni_shape_of(&views[i])).s,
                    qn_view_is_contiguous(&views[i]) ? "" : "*");
    }
}

/** Prints the attributes of which an element is not 0: ", stride 2 2". */
static void log_attrs(const qni_op *op, const void *attrs) {
    for (const qni_field *field = op->fields; field && field->name; field++) {
        bool told = false;
        for (int i = 0; i < field->count; i++)
            told |= qni_field_value(field, attrs, i) != 0;
        if (!told)
            continue;
        fprintf(stderr, ", %s", field->name);
        for (int i = 0; i < field->count; i++)
            fprintf(stderr, " %g", qni_field_value(field, attrs, i));
    }
}

/** Prints a call, which is part of a fused one where `indent` is not empty. */
static void log_call(const qni_trace *trace, int index, const qni_plan_node *node, qni_cost cost,
                     const char *indent) {
    const qn_view *in = trace->views + node->view, *out = in + node->call.n_in;
    fprintf(stderr, "quern: plan: %4d %s%s%s:", index, indent, node->op->name,
            node->kernel ? "" : " (on the host)");
    log_operands(node->op->in, in, node->call.n_in);
    if (node->call.n_out > 0)
        fputs(" ->", stderr);
    log_operands(node->op->out, out, node->call.n_out);
    if (node->has_attrs)
        log_attrs(node->op, trace->attrs + node->attrs);
    fprintf(stderr, ", %.0f bytes, %.0f operations\n", cost.bytes, cost.operations);
}

static void log_node(const qni_trace *trace, int index) {
    const qni_plan_node *node = &trace->nodes[index];
    const qni_fused *f = node->fused;
    if (!node->op)
        fprintf(stderr, "quern: plan: %4d host\n", index);
    else if (!f)
        log_call(trace, index, node, qni_node_cost(trace, node), "");
    else
        fprintf(stderr, "quern: plan: %4d fused: %d calls, %lld rows in blocks of %lld:\n", index,
                f->count, (long long)f->rows, (long long)f->block);
    for (int p = 0; f && p < f->count; p++)
        log_call(trace, index, &f->part[p], qni_part_cost(trace, f, p), "  ");
}

void qni_trace_log(const qni_trace *trace, const char *what) {
    qni_cost sum = {0};
    void *locale = qn_locale_enter();
    fprintf(stderr, "quern: plan: %s\n", what);
    for (int i = 0; i < trace->node_room.count; i++) {
        const qni_cost node = qni_node_cost(trace, &trace->nodes[i]);
        log_node(trace, i);
        sum.bytes += node.bytes;
        sum.operations += node.operations;
    }
    fprintf(stderr, "quern: plan: %d calls, %.0f bytes moved, %.0f operations",
            trace->node_room.count, sum.bytes, sum.operations);
    fputc('\n', stderr);
    qn_locale_leave(locale);
}

void qni_trace_log_memory(const qni_trace *trace) {
    fprintf(stderr, "quern: plan: %zu bytes placed (%zu when each is taken)%s\n",
            trace->placed_bytes, trace->eager_bytes, trace->graph ? ", one launch" : "");
}
