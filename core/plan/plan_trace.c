/* plan_trace.c: writing a step down while it runs.
 *
 * Every storage handed out during the recording is a new block of the step. Any other that a call
 * uses was there before: it is pinned, so that its address stays good for as long as the trace
 * lives, and the context counts up `structure` when nobody else is left that knows it. */
#include <stdlib.h>
#include <string.h>

#include "trace.h"

bool qni_room_for(void *items, qni_room *room, int more, size_t size) {
    if (room->count + more <= room->capacity)
        return true;
    int capacity = room->capacity ? 2 * room->capacity : 64;
    while (capacity < room->count + more)
        capacity *= 2;
    void *memory;
    memcpy(&memory, items, sizeof(memory));
    memory = realloc(memory, (size_t)capacity * size);
    if (!memory)
        return false;
    memcpy(items, &memory, sizeof(memory));
    room->capacity = capacity;
    return true;
}

/* ---- blocks ------------------------------------------------------------------------------ */

static int add_block(qni_trace *trace, qni_storage *storage, size_t bytes, qni_block_kind kind) {
    if (!qni_room_for(&trace->blocks, &trace->block_room, 1, sizeof(*trace->blocks))) {
        trace->failed = true;
        return -1;
    }
    int index = trace->block_room.count++;
    trace->blocks[index] = (qni_block){.kind = kind, .bytes = bytes, .first = -1, .last = -1};
    storage->trace = trace->serial;
    storage->block = index;
    return index;
}

void qni_trace_storage(qn_context *ctx, qni_storage *storage, size_t bytes) {
    qni_trace *trace = ctx->trace;
    storage->trace = 0;
    if (!trace || trace->in_host || trace->failed)
        return;
    add_block(trace, storage, bytes, QNI_BLOCK_STEP);
    size_t held = ctx->pool.stats.in_use - trace->in_use_before;
    if (ctx->pool.stats.in_use > trace->in_use_before && held > trace->eager_bytes)
        trace->eager_bytes = held;
}

/** The block of a storage, which is kept if the trace has not seen it
 * yet. -1 when memory is out. */
static int block_of(qni_trace *trace, qni_storage *storage) {
    if (storage->trace == trace->serial)
        return storage->block;
    int block = add_block(trace, storage, storage->bytes, QNI_BLOCK_KEPT);
    if (block < 0)
        return -1;
    trace->blocks[block].storage = storage;
    qni_storage_retain(storage);
    storage->pins++;
    return block;
}

static qni_place place_of(qni_trace *trace, const qn_view *view, qni_storage *storage) {
    qni_place place = {.block = block_of(trace, storage)};
    if (place.block >= 0)
        place.offset = (size_t)((char *)view->data - (char *)storage->data);
    return place;
}

/* ---- nodes ------------------------------------------------------------------------------- */

static qni_plan_node *add_node(qni_trace *trace) {
    if (!qni_room_for(&trace->nodes, &trace->node_room, 1, sizeof(*trace->nodes))) {
        trace->failed = true;
        return NULL;
    }
    qni_plan_node *node = &trace->nodes[trace->node_room.count++];
    *node = (qni_plan_node){.view = trace->view_room.count};
    return node;
}

static void add_view(qni_trace *trace, const qn_view *view, const qn_tensor *x, bool written) {
    if (trace->failed ||
        !qni_room_for(&trace->views, &trace->view_room, 1, sizeof(*trace->views)) ||
        !qni_room_for(&trace->places, &trace->place_room, 1, sizeof(*trace->places))) {
        trace->failed = true;
        return;
    }
    qni_place place = x ? place_of(trace, view, x->storage) : (qni_place){.block = -1};
    trace->views[trace->view_room.count++] = *view;
    trace->places[trace->place_room.count++] = place;
    if (place.block < 0)
        return;
    qni_block *block = &trace->blocks[place.block];
    const int node = trace->node_room.count - 1;
    block->first = block->first < 0 ? node : block->first;
    block->last = node;
    block->written = block->written || written;
}

bool qni_put_attrs(unsigned char **all, qni_room *room, const void *attrs, size_t size,
                   size_t *at) {
    if (!qni_room_for(all, room, QN_ATTRS_ROOM, 1))
        return false;
    *at = (size_t)room->count;
    memset(*all + *at, 0, QN_ATTRS_ROOM);
    memcpy(*all + *at, attrs, size);
    room->count += QN_ATTRS_ROOM;
    return true;
}

static void add_attrs(qni_trace *trace, qni_plan_node *node, const qn_call *call) {
    if (!call->attrs)
        return;
    node->has_attrs = qni_put_attrs(&trace->attrs, &trace->attrs_room, call->attrs,
                                    call->attrs_size, &node->attrs);
    trace->failed = trace->failed || !node->has_attrs;
}

void qni_trace_call(qn_context *ctx, const qni_op *op, const qn_kernel *kernel, const qn_call *call,
                    qn_tensor *const *in, qn_tensor *const *out) {
    qni_trace *trace = ctx->trace;
    if (trace && trace->in_host)
        trace->in_order = true;
    qni_plan_node *node = trace && !trace->in_host && !trace->failed ? add_node(trace) : NULL;
    if (!node)
        return;
    node->op = op;
    node->kernel = kernel;
    node->call = *call;
    node->workspace = kernel && kernel->workspace ? kernel->workspace(call) : 0;
    add_attrs(trace, node, call);
    for (int i = 0; i < call->n_in; i++)
        add_view(trace, &call->in[i], in[i], op->mutates >> i & 1u);
    for (int i = 0; i < call->n_out; i++)
        add_view(trace, &call->out[i], out[i], true);
    qni_graph_node *seen = qni_graph_add(trace, op, call->attrs);
    if (seen)
        qni_graph_operands(trace, seen, in, call->n_in, out, call->n_out);
}

void qni_trace_view(qn_context *ctx, const qni_op *op, qn_tensor *x, const void *attrs,
                    qn_tensor *y) {
    qni_trace *trace = ctx->trace;
    if (!trace || trace->in_host || trace->failed)
        return;
    qni_graph_node *seen = qni_graph_add(trace, op, attrs);
    if (seen)
        qni_graph_operands(trace, seen, &x, 1, &y, 1);
}

void qni_trace_decline(qn_context *ctx, const char *reason) {
    if (ctx->trace && ctx->trace->in_host)
        ctx->trace->in_order = true;
    else if (ctx->trace && !ctx->trace->reason)
        ctx->trace->reason = reason;
}

void qni_trace_write(qn_context *ctx, const qn_tensor *x) {
    qni_trace *trace = ctx->trace;
    if (!trace || !trace->in_host) {
        qni_trace_decline(ctx, "the host writes a tensor in it (qn_from_data, qn_tensor_write)");
        return;
    }
    int block = trace->failed ? -1 : block_of(trace, x->storage);
    if (block < 0)
        return;
    trace->blocks[block].written = true;
    if (trace->blocks[block].first >= 0)
        trace->in_order = true;
}

qn_status qn_host_call(qn_context *ctx, qn_host_fn function, void *data) {
    if (!ctx)
        return QN_INVALID_ARGUMENT;
    if (!function)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "host_call: no function given");
    qni_trace *trace = ctx->trace;
    qni_plan_node *node = trace && !trace->in_host && !trace->failed ? add_node(trace) : NULL;
    if (node) {
        node->host = function;
        node->host_data = data;
        qni_graph_add(trace, NULL, NULL);
    }
    const bool within = trace && trace->in_host;
    if (trace)
        trace->in_host = true; /* what it does is its own, and done again each time */
    qn_status status = function(data);
    if (trace)
        trace->in_host = within;
    if (status == QN_OK)
        return QN_OK;
    return qn_context_fail(ctx, status, "host_call: the function failed: %s",
                           qn_status_string(status));
}

/* ---- leaves ------------------------------------------------------------------------------ */

/** Notes which leaves hold a gradient now; those that the step does not use are left out at its
 * end. */
static bool note_leaves(qni_trace *trace) {
    const qni_list *kept = &trace->ctx->kept;
    for (int i = 0; i < kept->count; i++) {
        qn_tensor *x = kept->items[i];
        if (!x->leaf)
            continue;
        if (!qni_room_for(&trace->leaves, &trace->leaf_room, 1, sizeof(*trace->leaves)))
            return false;
        trace->leaves[trace->leaf_room.count++] = (qni_plan_leaf){.leaf = x, .before = x->grad_set};
    }
    return true;
}

static bool uses(const qni_trace *trace, const qn_tensor *x) {
    return x && x->storage->trace == trace->serial;
}

static void settle_leaves(qni_trace *trace) {
    int count = 0;
    for (int i = 0; !trace->reason && i < trace->leaf_room.count; i++) {
        qni_plan_leaf leaf = trace->leaves[i];
        leaf.after = leaf.leaf->grad_set;
        if (uses(trace, leaf.leaf) || uses(trace, leaf.leaf->grad) || uses(trace, leaf.leaf->seen))
            trace->leaves[count++] = leaf;
    }
    trace->leaf_room.count = count;
}

/* ---- a recording ------------------------------------------------------------------------- */

qni_trace *qni_trace_begin(qn_context *ctx, qn_tensor *const *in, int n_in, int n_out) {
    qni_trace *trace = calloc(1, sizeof(*trace));
    if (!trace)
        return NULL;
    trace->ctx = ctx;
    trace->serial = ++ctx->traces;
    trace->n_in = n_in;
    trace->n_out = n_out;
    trace->grad = ctx->grad_enabled;
    trace->threads = ctx->threads;
    trace->settings = ctx->settings;
    trace->in_use_before = ctx->pool.stats.in_use;
    for (int i = 0; i < n_in; i++) {
        trace->in[i] = in[i]->view;
        trace->inputs[i] = (qni_storage){
            .data = in[i]->view.data, .bytes = in[i]->storage->bytes, .references = 1};
        if (add_block(trace, &trace->inputs[i], in[i]->storage->bytes, QNI_BLOCK_INPUT) < 0) {
            qni_trace_free(trace);
            return NULL;
        }
    }
    if (!note_leaves(trace)) {
        qni_trace_free(trace);
        return NULL;
    }
    ctx->trace = trace;
    return trace;
}

qn_tensor *qni_trace_input(qni_trace *trace, int i, qn_tensor *x) {
    qn_tensor *given = qni_tensor_on(trace->ctx, &trace->inputs[i], &x->view);
    if (given)
        qni_graph_input(trace, i, given);
    return given;
}

void qni_trace_end(qni_trace *trace, qn_tensor *const *out) {
    qn_context *ctx = trace->ctx;
    for (int i = 0; out && i < trace->n_out; i++) {
        trace->out_view[i] = out[i]->view;
        trace->out[i] = place_of(trace, &out[i]->view, out[i]->storage);
        qni_graph_output(trace, i, out[i]);
        if (trace->out[i].block >= 0 && trace->blocks[trace->out[i].block].kind == QNI_BLOCK_STEP)
            trace->blocks[trace->out[i].block].kind = QNI_BLOCK_OUTPUT;
    }
    settle_leaves(trace);
    ctx->trace = NULL;
}

void qni_trace_free(qni_trace *trace) {
    if (!trace)
        return;
    qn_context *ctx = trace->ctx;
    if (trace->graph)
        ctx->backend->graph_free(ctx->device, trace->graph);
    for (int i = 0; i < trace->block_room.count; i++) {
        qni_storage *storage = trace->blocks[i].storage;
        if (!storage)
            continue;
        storage->pins -= trace->blocks[i].kind == QNI_BLOCK_KEPT;
        qni_storage_release(ctx, storage);
    }
    for (int i = 0; i < trace->n_in; i++)
        if (trace->places_of_inputs[i])
            qni_storage_release(ctx, trace->places_of_inputs[i]);
    if (trace->memory)
        qni_storage_release(ctx, trace->memory);
    if (trace->scratch)
        qni_storage_release(ctx, trace->scratch);
    for (int i = 0; i < trace->node_room.count; i++)
        free(trace->nodes[i].fused);
    qni_graph_free(&trace->graph_of_step);
    free(trace->nodes);
    free(trace->views);
    free(trace->places);
    free(trace->attrs);
    free(trace->blocks);
    free(trace->leaves);
    free(trace);
}

/* ---- comparing --------------------------------------------------------------------------- */

static bool same_layout(const qn_view *a, const qn_view *b) {
    if (a->dtype != b->dtype || !qn_view_same_shape(a, b))
        return false;
    for (int axis = 0; axis < a->rank; axis++)
        if (a->stride[axis] != b->stride[axis])
            return false;
    return true;
}

/** Whether input i lies in memory that the step keeps as well, and writes to one of the two. */
static bool is_kept_too(const qni_trace *trace, int i, const qni_storage *storage) {
    for (int k = trace->n_in; storage->pins > 0 && k < trace->block_room.count; k++) {
        const qni_block *block = &trace->blocks[k];
        if (block->kind == QNI_BLOCK_KEPT && block->storage == storage &&
            (block->written || trace->blocks[i].written))
            return true;
    }
    return false;
}

bool qni_trace_aliased(const qni_trace *trace, qn_tensor *const *in) {
    for (int i = 0; i < trace->n_in; i++) {
        if (is_kept_too(trace, i, in[i]->storage))
            return true;
        for (int k = 0; k < i; k++)
            if (in[k]->storage == in[i]->storage &&
                (trace->blocks[k].written || trace->blocks[i].written))
                return true;
    }
    return false;
}

bool qni_trace_fits(const qni_trace *trace, qn_tensor *const *in, int n_in, int n_out) {
    const qn_context *ctx = trace->ctx;
    if (trace->n_in != n_in || trace->n_out != n_out || trace->grad != ctx->grad_enabled ||
        trace->threads != ctx->threads || trace->settings != ctx->settings)
        return false;
    for (int i = 0; i < n_in; i++)
        if (!same_layout(&trace->in[i], &in[i]->view))
            return false;
    for (int i = 0; i < trace->leaf_room.count; i++)
        if (trace->leaves[i].leaf->grad_set != trace->leaves[i].before)
            return false;
    return trace->aliased == qni_trace_aliased(trace, in);
}

static bool same_place(qni_place a, qni_place b) {
    return a.block == b.block && a.offset == b.offset;
}

static bool same_node(const qni_trace *a, const qni_trace *b, int i) {
    const qni_plan_node *m = &a->nodes[i], *n = &b->nodes[i];
    return m->op == n->op && m->kernel == n->kernel && m->host == n->host &&
           m->host_data == n->host_data && m->view == n->view && m->attrs == n->attrs &&
           m->has_attrs == n->has_attrs && m->workspace == n->workspace;
}

/** An input may be a part of memory of any size. */
static bool same_block(const qni_block *a, const qni_block *b) {
    return a->kind == b->kind && a->storage == b->storage &&
           (a->kind == QNI_BLOCK_INPUT || a->bytes == b->bytes);
}

bool qni_trace_same(const qni_trace *a, const qni_trace *b) {
    bool same =
        a->node_room.count == b->node_room.count && a->view_room.count == b->view_room.count &&
        a->block_room.count == b->block_room.count && a->leaf_room.count == b->leaf_room.count &&
        a->attrs_room.count == b->attrs_room.count && a->aliased == b->aliased;
    for (int i = 0; same && i < a->node_room.count; i++)
        same = same_node(a, b, i);
    for (int i = 0; same && i < a->view_room.count; i++)
        same = same_place(a->places[i], b->places[i]) && same_layout(&a->views[i], &b->views[i]);
    for (int i = 0; same && i < a->block_room.count; i++)
        same = same_block(&a->blocks[i], &b->blocks[i]);
    for (int i = 0; same && i < a->leaf_room.count; i++)
        same = a->leaves[i].leaf == b->leaves[i].leaf && a->leaves[i].after == b->leaves[i].after;
    for (int i = 0; same && i < a->n_out; i++)
        same = same_place(a->out[i], b->out[i]) && same_layout(&a->out_view[i], &b->out_view[i]);
    return same && (a->attrs_room.count == 0 ||
                    memcmp(a->attrs, b->attrs, (size_t)a->attrs_room.count) == 0);
}
