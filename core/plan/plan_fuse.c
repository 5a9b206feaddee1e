/* plan_fuse.c: calls that share data become one, which runs on blocks of rows (plan_blocks.c).
 *
 * A call takes part when a row of what it gives needs the same row alone of what it takes:
 * elementwise operations, reductions over other axes than the first, and those that say so
 * (qni_op.rows). A call is joined with those that made its inputs, which move down to it past calls
 * that have nothing to do with them. */
#define _GNU_SOURCE /* for secure_getenv() */
#include <stdlib.h>
#include <string.h>

#include "trace.h"

/* Bytes of a block in all of its views, which are to stay in a core's cache, and most that one row
 * may have. */
enum { BLOCK_BYTES = 256 * 1024, MOST_ROW_BYTES = 512 * 1024 };
/* So many times a block the largest view has to be: what is smaller stays in the cache from call to
 * call. */
enum { LARGE = 8 };
/* A slot's start, and with it what is behind it. */
enum { ALIGNMENT = 64 };
enum { MOST_VIEWS = QN_MAX_INPUTS + QN_MAX_OUTPUTS };

/** Calls that are to be one, in their order. */
typedef struct group {
    int count;
    int node[QNI_MOST_PARTS];
} group;

typedef struct fusion {
    qni_trace *trace;
    group *groups; /* the one that a call is the last of */
    int *group_of; /* last call of a call's group; -1: it cannot take part */
    int64_t bytes; /* of a block */
    qn_view views[QNI_MOST_PARTS][MOST_VIEWS]; /* of the parts tried last, axes joined */
} fusion;

/* ---- what a call uses -------------------------------------------------------------------- */

/** Bytes from a view's first element to behind its last. */
static size_t reach(const qn_view *view) {
    int64_t last = 0;
    for (int axis = 0; axis < view->rank; axis++)
        last += (view->shape[axis] - 1) * view->stride[axis];
    return qn_view_count(view) > 0 ? (size_t)(last + 1) * qn_dtype_size(view->dtype) : 0;
}

static bool overlap(const qni_trace *trace, int a, int b) {
    const qni_place p = trace->places[a], q = trace->places[b];
    return p.block >= 0 && p.block == q.block && p.offset < q.offset + reach(&trace->views[b]) &&
           q.offset < p.offset + reach(&trace->views[a]);
}

/** Whether two calls have to stay in their order. */
static bool ordered(const qni_trace *trace, const qni_plan_node *a, const qni_plan_node *b) {
    if (!a->op || !b->op)
        return true;
    for (int i = 0; i < qni_node_views(a); i++)
        for (int k = 0; k < qni_node_views(b); k++)
            if ((qni_node_writes(a, i) || qni_node_writes(b, k)) &&
                overlap(trace, a->view + i, b->view + k))
                return true;
    return false;
}

/** Whether the calls of a group can be moved down to its last. */
static bool can_meet(const qni_trace *trace, const group *g) {
    int next = 1;
    for (int i = g->node[0] + 1; i < g->node[g->count - 1]; i++) {
        if (i == g->node[next]) {
            next++;
            continue;
        }
        for (int k = 0; k < next; k++)
            if (ordered(trace, &trace->nodes[g->node[k]], &trace->nodes[i]))
                return false;
    }
    return true;
}

/* ---- rows of a call ---------------------------------------------------------------------- */

/** The inputs, as bits, of which a row of the outputs needs the same row alone. An operation that
 * does not say so has none, and its calls are never cut. */
static uint32_t row_inputs(const qni_trace *trace, const qni_plan_node *node) {
    const uint32_t inputs = (1u << node->call.n_in) - 1;
    const void *attrs = node->has_attrs ? trace->attrs + node->attrs : NULL;
    if (node->op->elementwise)
        return inputs;
    if (node->op->reduction)
        return ((const qn_reduce_attrs *)attrs)->axes & 1u ? 0 : inputs;
    if (node->op->keeps_rows && !node->op->keeps_rows(attrs, trace->views + node->view))
        return 0;
    return node->op->rows & inputs;
}

static bool may_take_part(const qni_trace *trace, const qni_plan_node *node) {
    return node->op && node->kernel && node->call.n_out > 0 && row_inputs(trace, node) != 0;
}

/** The views that are cut, as bits. */
static uint32_t cut_views(const qni_trace *trace, const qni_plan_node *node) {
    const uint32_t inputs = (1u << node->call.n_in) - 1, all = (1u << qni_node_views(node)) - 1;
    return row_inputs(trace, node) | (all & ~inputs);
}

/** Joins axes of views of one shape where each of them steps evenly from one to the next. */
static void join_axes(qn_view *views, uint32_t which) {
    const qn_view first = views[__builtin_ctz(which)];
    int rank = 0;
    for (int axis = 0; axis < first.rank; axis++) {
        if (first.shape[axis] == 1)
            continue;
        bool joins = rank > 0;
        for (uint32_t left = which; left && joins; left &= left - 1) {
            const qn_view *view = &views[__builtin_ctz(left)];
            joins = view->stride[rank - 1] == view->stride[axis] * view->shape[axis];
        }
        rank += !joins;
        for (uint32_t left = which; left; left &= left - 1) {
            qn_view *view = &views[__builtin_ctz(left)];
            view->shape[rank - 1] = first.shape[axis] * (joins ? view->shape[rank - 1] : 1);
            view->stride[rank - 1] = view->stride[axis];
        }
    }
    for (uint32_t left = which; left && rank > 0; left &= left - 1)
        views[__builtin_ctz(left)].rank = rank;
}

/** The views of a call in the form in which they are cut; how many rows they have, 0 when they
 * cannot be. */
static int64_t rows_of(const qni_trace *trace, const qni_plan_node *node, qn_view *views) {
    uint32_t cut = cut_views(trace, node);
    for (int i = 0; i < qni_node_views(node); i++) {
        views[i] = trace->views[node->view + i];
        if (trace->places[node->view + i].block < 0)
            cut &= ~(1u << i);
    }
    if (node->op->elementwise)
        join_axes(views, cut);
    const qn_view *out = &views[node->call.n_in];
    if (out->rank == 0 || qn_view_count(out) == 0)
        return 0;
    for (uint32_t left = cut; left; left &= left - 1) {
        const qn_view *view = &views[__builtin_ctz(left)];
        if (view->rank == 0 || view->shape[0] != out->shape[0])
            return 0;
    }
    return out->shape[0];
}

static int64_t greatest_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/** Sets the parts and cuts of a group; false when they have no rows in common. */
static bool cut_parts(fusion *f, const group *g, qni_fused *fused) {
    const qni_trace *trace = f->trace;
    fused->count = g->count;
    fused->rows = 0;
    for (int p = 0; p < g->count; p++) {
        fused->part[p] = trace->nodes[g->node[p]];
        const int64_t rows = rows_of(trace, &fused->part[p], f->views[p]);
        if (rows == 0) /* it cannot be cut, whatever the others can; and gcd(0, n) would be n */
            return false;
        fused->rows = greatest_divisor(rows, fused->rows);
    }
    for (int p = 0; p < g->count && fused->rows > 1; p++) {
        const qni_plan_node *part = &fused->part[p];
        for (int i = 0; i < qni_node_views(part); i++) {
            const bool cut =
                (cut_views(trace, part) >> i & 1u) && trace->places[part->view + i].block >= 0;
            fused->cut[p][i] =
                (qni_cut){.extent = cut ? f->views[p][i].shape[0] / fused->rows : 0, .slot = -1};
        }
    }
    return fused->rows > 1;
}

/* ---- data that parts share --------------------------------------------------------------- */

/** Whether both views, of which one is written, have the same elements in the same rows. */
static bool same_rows(const fusion *f, const qni_fused *fused, int p, int i, int q, int k) {
    const qni_trace *trace = f->trace;
    const qn_view *a = &f->views[p][i], *b = &f->views[q][k];
    const qni_place at = trace->places[fused->part[p].view + i];
    const qni_place other = trace->places[fused->part[q].view + k];
    return fused->cut[p][i].extent > 0 && fused->cut[q][k].extent > 0 &&
           at.offset == other.offset && a->dtype == b->dtype &&
           qn_view_count(a) == qn_view_count(b) && qn_view_is_contiguous(a) &&
           qn_view_is_contiguous(b);
}

/** Whether each part finds in a block of rows what those before it put there. */
static bool shares_rows(const fusion *f, const qni_fused *fused) {
    const qni_trace *trace = f->trace;
    for (int p = 0; p < fused->count; p++)
        for (int i = 0; i < qni_node_views(&fused->part[p]); i++) {
            const int at = fused->part[p].view + i;
            if (trace->places[at].block < 0 || !qni_node_writes(&fused->part[p], i))
                continue;
            if (fused->cut[p][i].extent == 0)
                return false; /* each block would write all of it */
            for (int q = 0; q < fused->count; q++)
                for (int k = 0; k < qni_node_views(&fused->part[q]); k++)
                    if ((p != q || i != k) && overlap(trace, at, fused->part[q].view + k) &&
                        !same_rows(f, fused, p, i, q, k))
                        return false;
        }
    return true;
}

/** Whether all views that parts have of a block have its elements in the same rows as this one. */
static bool all_alike(const fusion *f, const qni_fused *fused, int p, int i, int block) {
    for (int q = 0; q < fused->count; q++)
        for (int k = 0; k < qni_node_views(&fused->part[q]); k++)
            if (f->trace->places[fused->part[q].view + k].block == block &&
                !same_rows(f, fused, p, i, q, k))
                return false;
    return true;
}

/** Whether nobody but the parts sees what is written to a view, and all
 * of it is in their blocks. */
static bool is_internal(const fusion *f, const qni_fused *fused, int p, int i) {
    const qni_trace *trace = f->trace;
    const int block = trace->places[fused->part[p].view + i].block;
    return block >= 0 && trace->blocks[block].kind == QNI_BLOCK_STEP &&
           all_alike(f, fused, p, i, block) &&
           qni_trace_uses(fused->part, fused->count, trace->places, block) ==
               qni_trace_uses(trace->nodes, trace->node_room.count, trace->places, block);
}

static int64_t row_bytes(const qn_view *view, const qni_cut *cut) {
    if (cut->extent == 0)
        return 0;
    int64_t count = cut->extent;
    for (int axis = 1; axis < view->rank; axis++)
        count *= view->stride[axis] != 0 ? view->shape[axis] : 1;
    return view->stride[0] != 0 || view->shape[0] == 1 ? count * (int64_t)qn_dtype_size(view->dtype)
                                                       : 0;
}

/** Bytes that a row has in all views that are cut, each counted once. */
static int64_t bytes_of_row(const fusion *f, const qni_fused *fused) {
    int64_t bytes = 0;
    for (int p = 0; p < fused->count; p++)
        for (int i = 0; i < qni_node_views(&fused->part[p]); i++) {
            const int block = f->trace->places[fused->part[p].view + i].block;
            if (qni_trace_uses(fused->part, p, f->trace->places, block) == 0)
                bytes += row_bytes(&f->views[p][i], &fused->cut[p][i]);
        }
    return bytes;
}

/** Bytes of the largest view that is cut. */
static int64_t largest_view(const fusion *f, const qni_fused *fused) {
    int64_t most = 0;
    for (int p = 0; p < fused->count; p++)
        for (int i = 0; i < qni_node_views(&fused->part[p]); i++) {
            const int64_t bytes = row_bytes(&f->views[p][i], &fused->cut[p][i]);
            most = bytes > most ? bytes : most;
        }
    return most * fused->rows;
}

/* ---- blocks ------------------------------------------------------------------------------ */

/** Rows of a block: what a cache holds. */
static bool choose_block(const fusion *f, qni_fused *fused) {
    const int64_t row = bytes_of_row(f, fused);
    if (row > MOST_ROW_BYTES || largest_view(f, fused) < LARGE * f->bytes)
        return false;
    fused->block = row < f->bytes ? f->bytes / (row > 0 ? row : 1) : 1;
    return fused->block < fused->rows;
}

static int64_t aligned(int64_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/** Gives each block that is internal its place in the scratch. */
static void place_slots(const fusion *f, qni_fused *fused) {
    fused->slots = 0;
    for (int p = 0; p < fused->count; p++)
        for (int i = fused->part[p].call.n_in; i < qni_node_views(&fused->part[p]); i++) {
            if (fused->cut[p][i].slot >= 0 || !is_internal(f, fused, p, i))
                continue;
            const int block = f->trace->places[fused->part[p].view + i].block;
            for (int q = 0; q < fused->count; q++)
                for (int k = 0; k < qni_node_views(&fused->part[q]); k++)
                    if (f->trace->places[fused->part[q].view + k].block == block)
                        fused->cut[q][k].slot = fused->slots;
            fused->slots += aligned(fused->block * row_bytes(&f->views[p][i], &fused->cut[p][i]));
        }
}

/** Whether the kernels take a block, and the last one; sets the scratch that they need. */
static bool kernels_accept(fusion *f, qni_fused *fused) {
    const int64_t rest = fused->rows % fused->block;
    int64_t workspace = 0;
    for (int p = 0; p < fused->count; p++) {
        qni_plan_node *part = &fused->part[p];
        for (int last = 0; last < 2; last++) {
            qn_view views[MOST_VIEWS];
            qn_call call = qni_fused_call(fused, p, 0, last && rest > 0 ? rest : fused->block, NULL,
                                          f->views[p], views);
            call.attrs = part->has_attrs ? f->trace->attrs + part->attrs : NULL;
            for (int i = 0; i < qni_node_views(part); i++) /* there, wherever it will be */
                views[i].data = f->views[p][i].data;
            if (part->kernel->declines && part->kernel->declines(&call))
                return false;
            const int64_t bytes =
                part->kernel->workspace ? (int64_t)part->kernel->workspace(&call) : 0;
            workspace = bytes > workspace ? bytes : workspace;
        }
    }
    fused->scratch = aligned(fused->slots + workspace);
    return true;
}

/** Makes one call of a group; false when that cannot be. */
static bool build(fusion *f, const group *g, qni_fused *fused) {
    if (!can_meet(f->trace, g) || !cut_parts(f, g, fused) || !shares_rows(f, fused) ||
        !choose_block(f, fused))
        return false;
    place_slots(f, fused);
    return kernels_accept(f, fused);
}

/* ---- groups ------------------------------------------------------------------------------ */

/** The last call before `node` that writes what its view i reads; -1: none does. */
static int writer_of(const qni_trace *trace, int node, int i) {
    for (int n = node - 1; n >= 0; n--) {
        const qni_plan_node *before = &trace->nodes[n];
        for (int k = 0; before->op && k < qni_node_views(before); k++)
            if (qni_node_writes(before, k) &&
                overlap(trace, before->view + k, trace->nodes[node].view + i))
                return n;
    }
    return -1;
}

static bool merge(const group *a, const group *b, group *both) {
    if (a->count + b->count > QNI_MOST_PARTS)
        return false;
    both->count = 0;
    for (int i = 0, k = 0; i < a->count || k < b->count;)
        both->node[both->count++] = k == b->count || (i < a->count && a->node[i] < b->node[k])
                                        ? a->node[i++]
                                        : b->node[k++];
    return true;
}

/** Joins a call with those that made its inputs, as far as that can be. */
static void join_writers(fusion *f, int node) {
    for (int i = 0; i < f->trace->nodes[node].call.n_in; i++) {
        if (f->trace->places[f->trace->nodes[node].view + i].block < 0)
            continue;
        const int writer = writer_of(f->trace, node, i);
        const int last = writer >= 0 ? f->group_of[writer] : -1;
        group both;
        qni_fused fused;
        if (last < 0 || last == node || !merge(&f->groups[last], &f->groups[node], &both) ||
            both.node[both.count - 1] != node || !build(f, &both, &fused))
            continue;
        f->groups[node] = both;
        f->groups[last].count = 0;
        for (int k = 0; k < both.count; k++)
            f->group_of[both.node[k]] = node;
    }
}

/** Puts the fused call of a group in the place of its last one. False when memory is out. */
static bool replace(fusion *f, const group *g) {
    qni_trace *trace = f->trace;
    qni_fused *fused = malloc(sizeof(*fused));
    if (!fused || !build(f, g, fused)) {
        free(fused);
        return false;
    }
    for (int p = 0; p < fused->count; p++)
        memcpy(trace->views + fused->part[p].view, f->views[p],
               (size_t)qni_node_views(&fused->part[p]) * sizeof(qn_view));
    qni_plan_node *node = &trace->nodes[g->node[g->count - 1]];
    node->fused = fused;
    node->workspace = (size_t)(fused->scratch * (trace->threads > 0 ? trace->threads : 1));
    return true;
}

/** Leaves out the calls that are parts of others. */
static void close_gaps(fusion *f) {
    qni_trace *trace = f->trace;
    int count = 0;
    for (int i = 0; i < trace->node_room.count; i++)
        if (f->group_of[i] < 0 || f->group_of[i] == i)
            trace->nodes[count++] = trace->nodes[i];
    trace->node_room.count = count;
}

/** What QUERN_FUSE says, where it is a number: tests make blocks small. */
static int64_t bytes_of_block(void) {
    const char *text = secure_getenv("QUERN_FUSE");
    const long long bytes = text ? strtoll(text, NULL, 10) : 0;
    return bytes > 0 ? bytes : BLOCK_BYTES;
}

/** Finds the groups of calls, and fuses them. False when memory is out. */
static bool fuse_groups(fusion *f) {
    const int count = f->trace->node_room.count;
    for (int i = 0; i < count; i++) {
        f->group_of[i] = may_take_part(f->trace, &f->trace->nodes[i]) ? i : -1;
        f->groups[i] = (group){.count = 1, .node = {i}};
        if (f->group_of[i] >= 0)
            join_writers(f, i);
    }
    for (int i = 0; i < count; i++)
        if (f->groups[i].count > 1 && !replace(f, &f->groups[i]))
            return false;
    close_gaps(f);
    qni_trace_note_uses(f->trace);
    return true;
}

bool qni_trace_fuse(qni_trace *trace) {
    const size_t count = (size_t)trace->node_room.count;
    if (trace->ctx->unfused || trace->aliased || !trace->ctx->backend->parallel || count == 0)
        return true;
    trace->epilogues = qni_trace_epilogues(trace);
    fusion *f = calloc(1, sizeof(*f));
    group *groups = calloc(count, sizeof(*groups));
    int *group_of = calloc(count, sizeof(*group_of));
    bool done = f && groups && group_of;
    if (done) {
        f->trace = trace;
        f->groups = groups;
        f->group_of = group_of;
        f->bytes = bytes_of_block();
        done = fuse_groups(f);
    }
    free(f);
    free(groups);
    free(group_of);
    return done;
}
