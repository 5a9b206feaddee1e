/* embedding_grad_simd.c: the gradient of a table, row by row in the order of indices.
 *
 * Positions are dealt, in their order, into buckets by their row's last bits: a row is in one
 * bucket, so that a bucket is a task that shares no row with another, and frequent words, which
 * often have neighbouring numbers, are spread. embedding_grad zeroes all rows first,
 * embedding_grad_rows each row that is seen for the first time. */
#include "simd_fill.h"
#include "simd_rows.h"
#include "simd_table.h"

enum { BUCKETS = 64 };

typedef struct table_grad {
    const qn_call *call;
    float *grad;   /* [rows, width], contiguous */
    uint8_t *seen; /* NULL: every row holds something */
    int64_t rows, width, count;
    int64_t bag;    /* positions that share a row of g */
    int64_t *index; /* row of each position */
    int64_t *order; /* positions, bucket after bucket */
    float *scale;   /* of each row of g; NULL: 1 */
    int64_t first[BUCKETS + 1];
} table_grad;

/* embedding_grad has the first two operands of embedding_grad_rows. */
static const char *embedding_grad_declines(const qn_call *call) {
    const qn_view *g = &call->in[QN_EMBEDDING_GRAD_ROWS_G];
    const int last = g->rank - 1;
    if (g->dtype != QN_F32)
        return "f32 only";
    if (call->n_in > QN_EMBEDDING_GRAD_ROWS_SEEN &&
        !(qn_view_is_contiguous(&call->in[QN_EMBEDDING_GRAD_ROWS_GRAD]) &&
          qn_view_is_contiguous(&call->in[QN_EMBEDDING_GRAD_ROWS_SEEN])))
        return "contiguous gradient only";
    return g->stride[last] == 1 || g->shape[last] <= 1 ? NULL : "contiguous rows only";
}

/* Two integers for each index, and a float for each row of g, of which there are no more than
 * indices, unless bags are empty. */
static size_t embedding_grad_workspace(const qn_call *call) {
    const int64_t count = qn_view_count(&call->in[QN_EMBEDDING_GRAD_ROWS_INDEX]);
    const int64_t bags = call->in[QN_EMBEDDING_GRAD_ROWS_G].shape[0];
    return (size_t)count * 2 * sizeof(int64_t) + (size_t)bags * sizeof(float);
}

static int64_t bucket_of(int64_t row) { return row % BUCKETS; }

/* Sorts positions by bucket, stable; those of padding are left out. */
static void deal(table_grad *t, int64_t padding) {
    int64_t next[BUCKETS];
    memset(t->first, 0, sizeof(t->first));
    for (int64_t i = 0; i < t->count; i++)
        if (t->index[i] != padding)
            t->first[bucket_of(t->index[i]) + 1]++;
    for (int b = 0; b < BUCKETS; b++) {
        t->first[b + 1] += t->first[b];
        next[b] = t->first[b];
    }
    for (int64_t i = 0; i < t->count; i++)
        if (t->index[i] != padding)
            t->order[next[bucket_of(t->index[i])]++] = i;
}

/* 1 / (entries that count) of each bag. */
static void find_scales(const table_grad *t, int64_t padding) {
    for (int64_t begin = 0; begin < t->count; begin += t->bag) {
        int64_t entries = 0;
        for (int64_t i = begin; i < begin + t->bag; i++)
            entries += t->index[i] != padding;
        t->scale[begin / t->bag] = entries > 0 ? 1.0f / (float)entries : 0.0f;
    }
}

static void bucket_task(const void *arg, int64_t bucket) {
    const table_grad *t = arg;
    const qn_view *g = &t->call->in[QN_EMBEDDING_GRAD_ROWS_G];
    for (int64_t k = t->first[bucket]; k < t->first[bucket + 1]; k++) {
        const int64_t position = t->order[k], row = t->index[position], from = position / t->bag;
        float *sum = t->grad + row * t->width;
        if (t->seen && !t->seen[row]) {
            memset(sum, 0, (size_t)t->width * sizeof(float));
            t->seen[row] = 1;
        }
        simd_table_add(sum, simd_row(g, from), t->width, t->scale ? t->scale[from] : 1.0f);
    }
}

static qn_status add_rows(table_grad *t) {
    const qn_call *call = t->call;
    const qn_embedding_attrs *attrs = call->attrs;
    const qn_view *index = &call->in[QN_EMBEDDING_GRAD_ROWS_INDEX];
    t->count = qn_view_count(index);
    t->bag = attrs->bag == QN_EMBEDDING_ROWS ? 1 : index->shape[1];
    t->index = call->workspace;
    t->order = t->index + t->count;
    t->scale = attrs->bag == QN_EMBEDDING_MEAN ? (float *)(t->order + t->count) : NULL;
    qn_status status = simd_table_indices(call, index, t->rows, t->index);
    if (status != QN_OK)
        return status;
    deal(t, attrs->padding);
    if (t->scale)
        find_scales(t, attrs->padding);
    simd_parallel(simd_threads(call, t->count * t->width), BUCKETS, bucket_task, t);
    return QN_OK;
}

static qn_status embedding_grad_run(const qn_call *call) {
    const qn_view *grad = &call->out[0];
    table_grad t = {
        .call = call, .grad = grad->data, .rows = grad->shape[0], .width = grad->shape[1]};
    simd_fill(call, grad, 0);
    return add_rows(&t);
}

const qn_kernel SIMD_KERNEL(embedding_grad) = {
    .size = sizeof(qn_kernel),
    .op = "embedding_grad",
    .declines = embedding_grad_declines,
    .workspace = embedding_grad_workspace,
    .run = embedding_grad_run,
    .attrs_size = sizeof(qn_embedding_attrs),
};

static qn_status embedding_grad_rows_run(const qn_call *call) {
    const qn_view *grad = &call->in[QN_EMBEDDING_GRAD_ROWS_GRAD];
    table_grad t = {.call = call,
                    .grad = grad->data,
                    .seen = call->in[QN_EMBEDDING_GRAD_ROWS_SEEN].data,
                    .rows = grad->shape[0],
                    .width = grad->shape[1]};
    return add_rows(&t);
}

const qn_kernel SIMD_KERNEL(embedding_grad_rows) = {
    .size = sizeof(qn_kernel),
    .op = "embedding_grad_rows",
    .declines = embedding_grad_declines,
    .workspace = embedding_grad_workspace,
    .run = embedding_grad_rows_run,
    .attrs_size = sizeof(qn_embedding_attrs),
};
