/* plan_epilogue.c: a relu becomes the epilogue of the call that makes its input, where that
 * operation has one (qni_op.relu): the tensor between them is never written. The kernel stays the
 * one that the step itself ran, and kernels do in an epilogue what relu does, so the bits are the
 * step's. */
#include "trace.h"

/* ---- what a relu and the call before it have between them ---------------------------------- */

static bool same_elements(const qn_view *a, const qn_view *b) {
    return a->dtype == b->dtype && qn_view_count(a) == qn_view_count(b) &&
           qn_view_is_contiguous(a) && qn_view_is_contiguous(b);
}

/** Whether nobody can look at a block before the step's first call on it, the host's functions
 * included. */
static bool made_within(const qni_block *block) {
    return block->kind == QNI_BLOCK_STEP || block->kind == QNI_BLOCK_OUTPUT;
}

/** The call whose first output is all that a relu reads, and which nobody else reads; -1: there is
 * none. */
static int maker_of(const qni_trace *trace, int relu) {
    const int at = trace->nodes[relu].view;
    const qni_place in = trace->places[at], out = trace->places[at + 1];
    if (in.block < 0 || trace->blocks[in.block].kind != QNI_BLOCK_STEP ||
        !made_within(&trace->blocks[out.block]) || trace->blocks[out.block].first != relu ||
        qni_trace_uses(trace->nodes, trace->node_room.count, trace->places, in.block) != 2)
        return -1;
    const int maker = trace->blocks[in.block].first;
    const qni_plan_node *node = &trace->nodes[maker];
    const int made = node->view + node->call.n_in;
    const bool fits = node->op && node->op->relu && node->kernel && node->has_attrs &&
                      trace->places[made].block == in.block &&
                      trace->places[made].offset == in.offset &&
                      same_elements(&trace->views[made], &trace->views[at]) &&
                      same_elements(&trace->views[at], &trace->views[at + 1]);
    return fits ? maker : -1;
}

/** Sets the flag of a call, if its kernel serves it then as well. */
static bool set_flag(qni_trace *trace, qni_plan_node *node) {
    const qn_context *ctx = trace->ctx;
    int32_t *flag = node->op->relu(trace->attrs + node->attrs);
    qn_call call = node->call;
    const char *reason;
    call.in = trace->views + node->view;
    call.out = trace->views + node->view + call.n_in;
    call.attrs = trace->attrs + node->attrs;
    *flag = 1;
    if (qni_choose(ctx, ctx->kernels, node->op, &call, &reason) != node->kernel) {
        *flag = 0;
        return false;
    }
    node->workspace = node->kernel->workspace ? node->kernel->workspace(&call) : 0;
    return true;
}

/* ---- the list ---------------------------------------------------------------------------- */

/** Leaves a call out. */
static void take_out(qni_trace *trace, int node) {
    for (int i = node + 1; i < trace->node_room.count; i++)
        trace->nodes[i - 1] = trace->nodes[i];
    trace->node_room.count--;
    qni_trace_note_uses(trace);
}

int qni_trace_epilogues(qni_trace *trace) {
    int found = 0;
    for (int i = trace->node_room.count - 1; i >= 0; i--) {
        const int maker = trace->nodes[i].op == &qni_op_relu ? maker_of(trace, i) : -1;
        if (maker < 0 || !set_flag(trace, &trace->nodes[maker]))
            continue;
        const qni_plan_node *node = &trace->nodes[maker];
        trace->places[node->view + node->call.n_in] = trace->places[trace->nodes[i].view + 1];
        take_out(trace, i);
        found++;
    }
    return found;
}
