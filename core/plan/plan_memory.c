/* plan_memory.c: who uses a step's blocks, and places ahead of time for those that live within it.
 *
 * The largest blocks are placed first, each at the lowest offset where it does not overlap one that
 * lives at the same time. The scratch of all calls is one place behind them. */
#include <stdlib.h>

#include "trace.h"

/* Of memory as devices give it (cudaMalloc): kernels may choose by the alignment of what they get,
 * and a replay is to choose as the step itself did. */
enum { ALIGNMENT = 256 };

/* ---- uses -------------------------------------------------------------------------------- */

int qni_node_views(const qni_plan_node *node) { return node->call.n_in + node->call.n_out; }

bool qni_node_writes(const qni_plan_node *node, int i) {
    return i >= node->call.n_in || (node->op->mutates >> i & 1u);
}

int qni_trace_uses(const qni_plan_node *nodes, int count, const qni_place *places, int block) {
    int uses = 0;
    for (int n = 0; n < count; n++)
        for (int i = 0; i < qni_node_views(&nodes[n]); i++)
            uses += places[nodes[n].view + i].block == block;
    return uses;
}

static void use(qni_trace *trace, const qni_plan_node *part, const qni_cut *cut, int node) {
    for (int i = 0; i < qni_node_views(part); i++) {
        const int block = trace->places[part->view + i].block;
        if (block < 0 || (cut && cut[i].slot >= 0))
            continue;
        if (trace->blocks[block].first < 0)
            trace->blocks[block].first = node;
        trace->blocks[block].last = node;
    }
}

void qni_trace_note_uses(qni_trace *trace) {
    for (int i = 0; i < trace->block_room.count; i++)
        trace->blocks[i].first = trace->blocks[i].last = -1;
    for (int n = 0; n < trace->node_room.count; n++) {
        const qni_plan_node *node = &trace->nodes[n];
        if (!node->fused)
            use(trace, node, NULL, n);
        for (int p = 0; node->fused && p < node->fused->count; p++)
            use(trace, &node->fused->part[p], node->fused->cut[p], n);
    }
}

/* ---- placing ----------------------------------------------------------------------------- */

static size_t room_of(const qni_block *block) {
    const size_t most = block->bytes > 0 ? block->bytes : 1;
    return (most + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool is_placed(const qni_block *block) {
    return block->kind == QNI_BLOCK_STEP && block->first >= 0;
}

static bool live_together(const qni_block *a, const qni_block *b) {
    return a->first <= b->last && b->first <= a->last;
}

static int by_size(const void *a, const void *b) {
    const qni_block *x = *(qni_block *const *)a, *y = *(qni_block *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x < y ? -1 : 1);
}

/** Puts a block below those that are `placed`, which are in the order of their offsets. */
static void place_block(qni_block *block, qni_block **placed, int count) {
    size_t offset = 0;
    int at = 0;
    for (int i = 0; i < count; i++) {
        if (!live_together(block, placed[i]))
            continue;
        if (placed[i]->offset >= offset + room_of(block))
            break;
        size_t end = placed[i]->offset + room_of(placed[i]);
        offset = end > offset ? end : offset;
    }
    block->offset = offset;
    while (at < count && placed[at]->offset <= offset)
        at++;
    for (int i = count; i > at; i--)
        placed[i] = placed[i - 1];
    placed[at] = block;
}

size_t qni_plan_place(qni_block *blocks, int count) {
    qni_block **order = calloc((size_t)count + 1, 2 * sizeof(qni_block *));
    if (!order)
        return SIZE_MAX;
    qni_block **placed = order + count + 1;
    int waiting = 0;
    size_t total = 0;
    for (int i = 0; i < count; i++)
        if (is_placed(&blocks[i]))
            order[waiting++] = &blocks[i];
    qsort(order, (size_t)waiting, sizeof(*order), by_size);
    for (int i = 0; i < waiting; i++) {
        place_block(order[i], placed, i);
        size_t end = order[i]->offset + room_of(order[i]);
        total = end > total ? end : total;
    }
    free(order);
    return total;
}

/* ---- addresses --------------------------------------------------------------------------- */

static size_t most_workspace(const qni_trace *trace) {
    size_t most = 0;
    for (int i = 0; i < trace->node_room.count; i++)
        most = trace->nodes[i].workspace > most ? trace->nodes[i].workspace : most;
    return most;
}

/** Takes the block of memory, or a reference to the shared one. */
static bool take_memory(qni_trace *trace, size_t bytes, qni_storage **shared) {
    if (!*shared || (*shared)->bytes < bytes) {
        if (!*shared) /* the first steps took more than any other will, if shapes stay */
            qn_memory_trim(trace->ctx);
        qni_storage *larger = qni_storage_new(trace->ctx, bytes);
        if (!larger)
            return false;
        if (*shared)
            qni_storage_release(trace->ctx, *shared);
        *shared = larger;
    }
    trace->memory = *shared;
    qni_storage_retain(trace->memory);
    return true;
}

/** Says of each block where it is; those of outputs get their memory. */
static bool set_bases(qni_trace *trace) {
    for (int i = 0; i < trace->block_room.count; i++) {
        qni_block *block = &trace->blocks[i];
        if (block->kind == QNI_BLOCK_OUTPUT) {
            block->storage = qni_storage_new(trace->ctx, block->bytes);
            if (!block->storage)
                return false;
            trace->placed_bytes += block->bytes;
        }
        if (block->kind == QNI_BLOCK_INPUT)
            block->base = trace->inputs[i].data;
        else if (block->storage)
            block->base = block->storage->data;
        else
            block->base = (char *)trace->memory->data + block->offset;
    }
    return true;
}

static void set_call(qni_trace *trace, qni_plan_node *node) {
    node->call.in = trace->views + node->view;
    node->call.out = trace->views + node->view + node->call.n_in;
    node->call.attrs = node->has_attrs ? trace->attrs + node->attrs : NULL;
}

static void set_pointers(qni_trace *trace, size_t scratch) {
    for (int i = 0; i < trace->view_room.count; i++) {
        const qni_place place = trace->places[i];
        trace->views[i].data =
            place.block < 0 ? NULL : trace->blocks[place.block].base + place.offset;
    }
    for (int i = 0; i < trace->node_room.count; i++) {
        qni_plan_node *node = &trace->nodes[i];
        set_call(trace, node);
        for (int p = 0; node->fused && p < node->fused->count; p++)
            set_call(trace, &node->fused->part[p]);
        node->call.workspace = node->workspace ? (char *)trace->memory->data + scratch : NULL;
        node->call.workspace_size = node->workspace;
    }
}

qn_status qni_trace_seal(qni_trace *trace, qni_storage **shared) {
    size_t placed = qni_plan_place(trace->blocks, trace->block_room.count);
    if (placed == SIZE_MAX)
        return qn_context_fail(trace->ctx, QN_OUT_OF_MEMORY, "plan: out of memory");
    const size_t workspace = most_workspace(trace);
    trace->placed_bytes = placed + workspace;
    trace->eager_bytes += workspace;
    if (!take_memory(trace, trace->placed_bytes, shared) || !set_bases(trace))
        return trace->ctx->status;
    set_pointers(trace, placed);
    trace->sealed = true;
    return QN_OK;
}

/** Input i has block i: they are the first that a trace knows. */
bool qni_trace_point(qni_trace *trace, void *const *data) {
    bool moved = false;
    for (int i = 0; i < trace->n_in; i++) {
        moved = moved || data[i] != trace->blocks[i].base;
        trace->blocks[i].base = data[i];
    }
    for (int i = 0; moved && i < trace->view_room.count; i++) {
        const qni_place place = trace->places[i];
        if (place.block >= 0 && place.block < trace->n_in)
            trace->views[i].data = trace->blocks[place.block].base + place.offset;
    }
    return moved;
}
