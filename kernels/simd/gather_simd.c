/* gather_simd.c: rows of x by index, as an embedding looks them up: the gathered axis is not the
 * last, x is contiguous along the last, and all of an output row has one index. Any dtype. */
#include "simd.h"

#include <stdio.h>
#include <string.h>

/* Elements of a task. */
enum { PIECE = 16384 };

typedef struct gather {
    const qn_call *call;
    int axis;
    int64_t rows, row, group; /* output rows, elements of one, rows of a task */
} gather;

static const char *gather_declines(const qn_call *call) {
    const qn_view *x = &call->in[0], *index = &call->in[1];
    int last = x->rank - 1;
    if (((const qn_axis_attrs *)call->attrs)->axis == last)
        return "not along the last axis";
    if (x->shape[last] > 1 && (x->stride[last] != 1 || index->stride[last] != 0))
        return "whole contiguous rows only";
    return NULL;
}

/* The index of an output row; *base becomes the offset in x of the row with index 0. */
static int64_t index_of(const gather *g, int64_t row, int64_t *base) {
    const qn_view *x = &g->call->in[0], *index = &g->call->in[1];
    int64_t at = 0;
    *base = 0;
    for (int axis = x->rank - 2; axis >= 0; axis--) {
        int64_t position = row % index->shape[axis];
        row /= index->shape[axis];
        at += position * index->stride[axis];
        *base += axis == g->axis ? 0 : position * x->stride[axis];
    }
    return ((const int64_t *)index->data)[at];
}

static void gather_task(const void *arg, int64_t task) {
    const gather *g = arg;
    const qn_view *x = &g->call->in[0];
    int64_t end = (task + 1) * g->group < g->rows ? (task + 1) * g->group : g->rows;
    size_t size = qn_dtype_size(x->dtype), bytes = (size_t)g->row * size;
    for (int64_t row = task * g->group; row < end; row++) {
        int64_t base, i = index_of(g, row, &base);
        const char *from = (const char *)x->data + (base + i * x->stride[g->axis]) * (int64_t)size;
        memcpy((char *)g->call->out[0].data + row * (int64_t)bytes, from, bytes);
    }
}

static qn_status gather_run(const qn_call *call) {
    const qn_view *x = &call->in[0], *index = &call->in[1];
    int axis = ((const qn_axis_attrs *)call->attrs)->axis;
    int64_t count = qn_view_count(index), extent = x->shape[axis], base;
    if (count == 0)
        return QN_OK;
    gather g = {.call = call, .axis = axis, .row = index->shape[x->rank - 1]};
    g.rows = count / g.row;
    g.group = g.row < PIECE ? PIECE / g.row : 1;
    for (int64_t row = 0; row < g.rows; row++) {
        int64_t i = index_of(&g, row, &base);
        if (i < 0 || i >= extent) {
            snprintf(call->reason, QN_REASON_SIZE,
                     "index %lld at position %lld is outside 0 .. %lld", (long long)i,
                     (long long)(row * g.row), (long long)extent - 1);
            return QN_INVALID_ARGUMENT;
        }
    }
    simd_parallel(simd_threads(call, count), (g.rows + g.group - 1) / g.group, gather_task, &g);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(gather) = {
    .size = sizeof(qn_kernel),
    .op = "gather",
    .declines = gather_declines,
    .run = gather_run,
    .attrs_size = sizeof(qn_axis_attrs),
};
