/* embedding_simd.c: rows of a table, copied whole. Any dtype. */
#include "simd_table.h"

/* Elements of a task. */
enum { PIECE = 16384 };

static const char *embedding_declines(const qn_call *call) {
    const qn_view *table = &call->in[0];
    return table->stride[1] == 1 || table->shape[1] <= 1 ? NULL : "contiguous rows only";
}

static size_t embedding_workspace(const qn_call *call) {
    return (size_t)qn_view_count(&call->in[1]) * sizeof(int64_t);
}

static int64_t rows_of_a_task(const qn_view *table) {
    return table->shape[1] < PIECE ? PIECE / table->shape[1] : 1;
}

static void embedding_task(const void *arg, int64_t task) {
    const qn_call *call = arg;
    const qn_view *table = &call->in[0];
    const int64_t *index = call->workspace;
    const int64_t count = qn_view_count(&call->in[1]), group = rows_of_a_task(table);
    const int64_t end = (task + 1) * group < count ? (task + 1) * group : count;
    const size_t size = qn_dtype_size(table->dtype), bytes = (size_t)table->shape[1] * size;
    for (int64_t i = task * group; i < end; i++)
        memcpy((char *)call->out[0].data + (size_t)i * bytes,
               (const char *)table->data + (size_t)(index[i] * table->stride[0]) * size, bytes);
}

static qn_status embedding_run(const qn_call *call) {
    const qn_view *table = &call->in[0];
    qn_status status = simd_table_indices(call, &call->in[1], table->shape[0], call->workspace);
    const int64_t work = qn_view_count(&call->out[0]);
    if (status != QN_OK || work == 0)
        return status;
    const int64_t count = qn_view_count(&call->in[1]), group = rows_of_a_task(table);
    simd_parallel(simd_threads(call, work), (count + group - 1) / group, embedding_task, call);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(embedding) = {
    .size = sizeof(qn_kernel),
    .op = "embedding",
    .declines = embedding_declines,
    .workspace = embedding_workspace,
    .run = embedding_run,
    .attrs_size = sizeof(qn_embedding_attrs),
};
