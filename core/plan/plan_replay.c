/* plan_replay.c: a recorded step again: the list of its calls, or, where the device can record what
 * is queued, one launch.
 *
 * A graph knows fixed addresses, so its inputs are copied to places of their own; and what the host
 * does within the step comes before the launch, which is the same as long as nothing of the step
 * has used what the host writes (in_order). */
#include "trace.h"

/* ---- inputs ------------------------------------------------------------------------------ */

/** Whether a call, not a fused one, takes an input of the step. */
static bool takes_input(const qni_trace *trace, const qni_plan_node *node) {
    bool takes = false;
    for (int i = 0; node->op && !node->fused && i < qni_node_views(node); i++) {
        const int block = trace->places[node->view + i].block;
        takes = takes || (block >= 0 && block < trace->n_in);
    }
    return takes;
}

/** Chooses the kernel of a call again; the scratch that it needs. */
static size_t choose_again(const qn_context *ctx, qni_plan_node *node) {
    const char *reason;
    node->call.queue = ctx->backend->queue(ctx->device);
    node->kernel = qni_choose(ctx, ctx->kernels, node->op, &node->call, &reason);
    return node->kernel && node->kernel->workspace ? node->kernel->workspace(&node->call) : 0;
}

/** Scratch of at least so many bytes for the calls that take inputs. */
static qn_status give_scratch(qni_trace *trace, size_t bytes) {
    if (trace->scratch && trace->scratch->bytes >= bytes)
        return QN_OK;
    qni_storage *larger = qni_storage_new(trace->ctx, bytes);
    if (!larger)
        return trace->ctx->status;
    if (trace->scratch)
        qni_storage_release(trace->ctx, trace->scratch);
    trace->scratch = larger;
    for (int i = 0; i < trace->node_room.count; i++)
        if (takes_input(trace, &trace->nodes[i])) {
            trace->nodes[i].call.workspace = larger->data;
            trace->nodes[i].call.workspace_size = larger->bytes;
        }
    return QN_OK;
}

/** Lets the calls look at these inputs. Kernels may choose by the alignment of what they get, and
 * are to choose as in the step itself. */
static qn_status point(qni_trace *trace, void *const *data) {
    size_t most = 0;
    const bool moved = qni_trace_point(trace, data);
    for (int i = 0; moved && i < trace->node_room.count; i++) {
        qni_plan_node *node = &trace->nodes[i];
        const size_t bytes = takes_input(trace, node) ? choose_again(trace->ctx, node) : 0;
        if (bytes > node->call.workspace_size && bytes > most)
            most = bytes;
    }
    return most > 0 ? give_scratch(trace, most) : QN_OK;
}

/* ---- the list ---------------------------------------------------------------------------- */

static qn_status run_node(qni_trace *trace, qni_plan_node *node) {
    qn_context *ctx = trace->ctx;
    if (!node->op)
        return node->host(node->host_data);
    if (node->fused)
        return qni_fused_run(trace, node);
    char reason[QN_REASON_SIZE];
    reason[0] = '\0';
    node->call.reason = reason;
    node->call.queue = ctx->backend->queue(ctx->device);
    if (!node->kernel)
        return qni_fallback(ctx, node->op, &node->call, "no kernel when it was recorded");
    qn_status status = node->kernel->run(&node->call);
    if (status == QN_OK)
        return QN_OK;
    return qn_context_fail(ctx, status, "%s: %s", node->op->name,
                           reason[0] ? reason : qn_status_string(status));
}

enum { HOST = 1, KERNELS = 2 };

static qn_status run_nodes(qni_trace *trace, int which) {
    qn_status status = QN_OK;
    for (int i = 0; i < trace->node_room.count && status == QN_OK; i++)
        if (which & (trace->nodes[i].op ? KERNELS : HOST))
            status = run_node(trace, &trace->nodes[i]);
    return status;
}

/* ---- the graph --------------------------------------------------------------------------- */

static void log_graph(const char *what, const char *reason) {
    if (qni_log_wants("plan"))
        fprintf(stderr, "quern: plan: %s%s%s\n", what, reason[0] ? ": " : "", reason);
}

static bool may_be_graph(const qni_trace *trace) {
    bool may = trace->ctx->backend->capture_begin && !trace->in_order && !trace->aliased;
    for (int i = 0; i < trace->node_room.count && may; i++)
        may = !trace->nodes[i].op || trace->nodes[i].kernel;
    for (int i = 0; i < trace->n_in && may; i++)
        may = qn_view_is_contiguous(&trace->in[i]) && !trace->blocks[i].written;
    return may;
}

static void copy_call(qni_trace *trace, int i, const qn_view *from, qn_view *to, qn_call *call) {
    *to = trace->in[i];
    to->data = trace->places_of_inputs[i]->data;
    *call = (qn_call){.op = qni_op_copy.name,
                      .n_in = 1,
                      .n_out = 1,
                      .in = from,
                      .out = to,
                      .queue = trace->ctx->backend->queue(trace->ctx->device),
                      .threads = trace->threads,
                      .size = sizeof(qn_call),
                      .state = trace->copy_states[i]};
}

/** Places of their own for the inputs, and the kernel that copies to them. */
static bool fix_inputs(qni_trace *trace) {
    qn_context *ctx = trace->ctx;
    for (int i = 0; i < trace->n_in; i++) {
        qn_view to;
        qn_call call;
        const char *reason;
        trace->places_of_inputs[i] = qni_storage_new(ctx, trace->blocks[i].bytes);
        if (!trace->places_of_inputs[i])
            return false;
        copy_call(trace, i, &trace->in[i], &to, &call);
        const qn_kernel *copy = qni_choose(ctx, ctx->kernels, &qni_op_copy, &call, &reason);
        if (!copy || copy->workspace)
            return false;
        trace->copies[i] = copy;
        trace->copy_states[i] = call.state;
    }
    void *data[QN_PLAN_INPUTS];
    for (int i = 0; i < trace->n_in; i++)
        data[i] = trace->places_of_inputs[i]->data;
    return point(trace, data) == QN_OK;
}

void qni_trace_make_graph(qni_trace *trace) {
    qn_context *ctx = trace->ctx;
    char reason[QN_REASON_SIZE] = "";
    if (!may_be_graph(trace))
        return;
    if (!fix_inputs(trace)) {
        qn_context_clear_error(ctx); /* the list needs less memory */
        return;
    }
    qn_status status = ctx->backend->capture_begin(ctx->device, reason);
    if (status == QN_OK) {
        qn_status queued = run_nodes(trace, KERNELS);
        status = ctx->backend->capture_end(ctx->device, &trace->graph, reason);
        if (queued != QN_OK && trace->graph) {
            ctx->backend->graph_free(ctx->device, trace->graph);
            trace->graph = NULL;
        }
    }
    if (ctx->status != QN_OK) {
        snprintf(reason, sizeof(reason), "%.200s", ctx->message);
        qn_context_clear_error(ctx);
    }
    log_graph(trace->graph ? "launched as one from now on"
                           : "cannot be launched as one, the list is replayed",
              trace->graph ? "" : reason);
}

static qn_status copy_inputs(qni_trace *trace, qn_tensor *const *in) {
    qn_context *ctx = trace->ctx;
    qn_status status = QN_OK;
    for (int i = 0; i < trace->n_in && status == QN_OK; i++) {
        char reason[QN_REASON_SIZE] = "";
        qn_view to;
        qn_call call;
        copy_call(trace, i, &in[i]->view, &to, &call);
        call.reason = reason;
        status = trace->copies[i]->run(&call);
        if (status != QN_OK)
            qn_context_fail(ctx, status, "copy: %s", reason);
    }
    return status;
}

static qn_status launch(qni_trace *trace, qn_tensor *const *in) {
    qn_context *ctx = trace->ctx;
    char reason[QN_REASON_SIZE] = "";
    qn_status status = run_nodes(trace, HOST);
    if (status == QN_OK)
        status = copy_inputs(trace, in);
    if (status != QN_OK)
        return status;
    status = ctx->backend->graph_launch(ctx->device, trace->graph, reason);
    return status == QN_OK ? QN_OK : qn_context_fail(ctx, status, "plan: %s", reason);
}

/* ---- outputs ----------------------------------------------------------------------------- */

/** Moves a tensor to memory of its own. */
static qn_status move_away(qn_tensor *x) {
    bool recording = qn_context_set_grad(x->ctx, false);
    qn_tensor *y = qni_unary(&qni_op_copy, x, NULL);
    qn_context_set_grad(x->ctx, recording);
    if (!y)
        return x->ctx->status;
    qni_tensor_rebase(x, y->storage, y->view.data);
    x->view = y->view;
    qni_tensor_destroy(y);
    return QN_OK;
}

static qn_status move_holders(qni_list *list, const qni_storage *storage) {
    qn_status status = QN_OK;
    for (int i = list->count - 1; i >= 0 && status == QN_OK; i--)
        if (list->items[i]->storage == storage)
            status = move_away(list->items[i]);
    return status;
}

qn_status qni_trace_release_outputs(qni_trace *trace) {
    qn_context *ctx = trace->ctx;
    qn_status status = QN_OK;
    for (int i = 0; i < trace->n_out && status == QN_OK; i++) {
        const int block = trace->out[i].block;
        const qni_storage *storage = trace->blocks[block].storage;
        if (trace->blocks[block].kind != QNI_BLOCK_OUTPUT || storage->references == 1)
            continue;
        status = move_holders(&ctx->step, storage);
        if (status == QN_OK)
            status = move_holders(&ctx->kept, storage);
    }
    return status;
}

static qn_status hand_out(qni_trace *trace, qn_tensor *const *in, qn_tensor **out) {
    for (int i = 0; i < trace->n_out; i++) {
        const qni_place place = trace->out[i];
        const qni_block *block = &trace->blocks[place.block];
        qn_view view = trace->out_view[i];
        bool is_input = block->kind == QNI_BLOCK_INPUT;
        char *base = is_input ? in[place.block]->view.data : block->base;
        view.data = base + place.offset;
        out[i] =
            qni_tensor_on(trace->ctx, is_input ? in[place.block]->storage : block->storage, &view);
        if (!out[i])
            return QN_OUT_OF_MEMORY;
    }
    return QN_OK;
}

qn_status qni_trace_replay(qni_trace *trace, qn_tensor *const *in, qn_tensor **out) {
    qn_status status;
    if (trace->graph) {
        status = launch(trace, in);
    } else {
        void *data[QN_PLAN_INPUTS];
        for (int i = 0; i < trace->n_in; i++)
            data[i] = in[i]->view.data;
        status = point(trace, data);
        if (status == QN_OK)
            status = run_nodes(trace, HOST | KERNELS);
    }
    if (status != QN_OK)
        return status;
    for (int i = 0; i < trace->leaf_room.count; i++)
        trace->leaves[i].leaf->grad_set = trace->leaves[i].after;
    return hand_out(trace, in, out);
}
