/* embedding_bag_simd.c: the mean or sum of the rows of a table that each bag names, a bag a
 * task. */
#include "simd_table.h"

static const char *embedding_bag_declines(const qn_call *call) {
    const qn_view *table = &call->in[0];
    if (table->dtype != QN_F32)
        return "f32 only";
    return table->stride[1] == 1 || table->shape[1] <= 1 ? NULL : "contiguous rows only";
}

static size_t embedding_bag_workspace(const qn_call *call) {
    return (size_t)qn_view_count(&call->in[1]) * sizeof(int64_t);
}

static void divide(float *x, int64_t n, float by) {
    int64_t i = 0;
    for (; i + V_WIDTH <= n; i += V_WIDTH)
        v_store(x + i, v_load(x + i) / by);
    if (i < n)
        v_store_part(x + i, v_load_part(x + i, n - i) / by, n - i);
}

static void embedding_bag_task(const void *arg, int64_t bag) {
    const qn_call *call = arg;
    const qn_embedding_attrs *attrs = call->attrs;
    const qn_view *table = &call->in[0];
    const int64_t width = table->shape[1], length = call->in[1].shape[1];
    const int64_t *index = (const int64_t *)call->workspace + bag * length;
    float *y = (float *)call->out[0].data + bag * width;
    int64_t count = 0;
    memset(y, 0, (size_t)width * sizeof(float));
    for (int64_t i = 0; i < length; i++) {
        if (index[i] == attrs->padding)
            continue;
        simd_table_add(y, (const float *)table->data + index[i] * table->stride[0], width, 1.0f);
        count++;
    }
    if (attrs->bag == QN_EMBEDDING_MEAN && count > 1)
        divide(y, width, (float)count);
}

static qn_status embedding_bag_run(const qn_call *call) {
    const qn_view *table = &call->in[0], *index = &call->in[1];
    qn_status status = simd_table_indices(call, index, table->shape[0], call->workspace);
    if (status != QN_OK)
        return status;
    const int64_t work = qn_view_count(index) * table->shape[1];
    simd_parallel(simd_threads(call, work), index->shape[0], embedding_bag_task, call);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(embedding_bag) = {
    .size = sizeof(qn_kernel),
    .op = "embedding_bag",
    .declines = embedding_bag_declines,
    .workspace = embedding_bag_workspace,
    .run = embedding_bag_run,
    .attrs_size = sizeof(qn_embedding_attrs),
};
