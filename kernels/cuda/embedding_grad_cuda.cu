/* embedding_grad_cuda.cu: zeros, then each row of g is added to the row of the table that it was
 * looked up from, in the order of indices. embedding_grad_rows: the same onto a gradient of which
 * the rows seen hold something.
 *
 * Keys row * positions + position are sorted, so that what goes to one row lies together and in
 * order. */
#include "cuda_rows.h"
#include "cuda_sorted_keys.h"

namespace {

/** The key of each position. Those that count for nothing get row `rows`, behind all others. */
struct key_of_position {
    cuda_walk walk; /**< of index */
    int64_t rows, padding;
    const int64_t *index;
    int64_t *keys;
    cuda_fault *fault;
    uint64_t op;

    __device__ void operator()(int64_t i) const {
        int64_t at;
        lines_at<1>(walk, i, &at);
        int64_t row = index[at];
        if (row < 0 || row >= rows) {
            gpu_fault(fault, CUDA_FAULT_INDEX, op, row, i, rows - 1);
            row = rows;
        } else if (row == padding) {
            row = rows;
        }
        keys[i] = row * walk.count + i;
    }
};

/** What g is multiplied by for each bag: 1 / (entries that count), 1 if there are none. */
struct scale_of_bag {
    const int64_t *index;
    int64_t length, stride[2], padding;
    double *scale;

    __device__ void operator()(int64_t bag) const {
        int64_t count = 0;
        for (int64_t at = 0; at < length; at++)
            count += index[bag * stride[0] + at * stride[1]] != padding;
        scale[bag] = count > 0 ? 1 / (double)count : 1;
    }
};

template <class T> struct zeros {
    T *out;

    __device__ void operator()(int64_t i) const { out[i] = 0; }
};

/** Whether a row's keys begin at place i. */
__device__ bool row_begins(const int64_t *keys, int64_t i, int64_t count, int64_t rows) {
    const int64_t row = keys[i] / count;
    return row < rows && (i == 0 || keys[i - 1] / count != row);
}

/** Column c of the row whose keys begin at a place: adds up what goes there. */
template <class T> struct gradient_of_row {
    const int64_t *keys;
    int64_t count, rows, width, length; /**< length: of a bag, 1 without */
    cuda_walk walk;                     /**< of g */
    const T *g;
    const double *scale; /**< of each bag; NULL: 1 */
    T *grad;
    int64_t stride[2];
    const uint8_t *seen; /**< NULL: no row holds anything yet */
    int64_t seen_stride;

    __device__ void operator()(int64_t item) const {
        int64_t i = item / width;
        const int64_t c = item % width, row = keys[i] / count;
        if (!row_begins(keys, i, count, rows))
            return;
        T *to = grad + row * stride[0] + c * stride[1];
        gpu_sum<T> sum;
        if (seen && seen[row * seen_stride])
            sum.add(*to);
        for (; i < count && keys[i] / count == row; i++) {
            const int64_t from = keys[i] % count / length;
            int64_t at;
            lines_at<1>(walk, from * width + c, &at);
            sum.add(scale ? (T)scale[from] * g[at] : g[at]);
        }
        *to = (T)sum.value();
    }
};

struct mark_of_row {
    const int64_t *keys;
    int64_t count, rows;
    uint8_t *seen;
    int64_t stride;

    __device__ void operator()(int64_t i) const {
        if (row_begins(keys, i, count, rows))
            seen[keys[i] / count * stride] = 1;
    }
};

/* The workspace: two arrays of keys, then the scale of each bag. */

bool takes_means(const qn_call *call) {
    return ((const qn_embedding_attrs *)call->attrs)->bag == QN_EMBEDDING_MEAN;
}

size_t workspace(const qn_call *call) {
    const qn_view *index = &call->in[QN_EMBEDDING_GRAD_ROWS_INDEX];
    const int64_t bags = takes_means(call) ? index->shape[0] : 0;
    return (size_t)(2 * qn_view_count(index) + bags) * sizeof(int64_t);
}

/** Makes the keys and sorts them. */
qn_status sorted_positions(const qn_call *call, int64_t rows, int64_t **sorted) {
    const qn_view *index = &call->in[QN_EMBEDDING_GRAD_ROWS_INDEX];
    int64_t *keys = (int64_t *)call->workspace, count = qn_view_count(index);
    const key_of_position key{cuda_walk_of(index),
                              rows,
                              ((const qn_embedding_attrs *)call->attrs)->padding,
                              (const int64_t *)index->data,
                              keys,
                              cuda_queue_of(call)->fault,
                              gpu_op(call)};
    qn_status status = each_launch(call, count, key);
    return status == QN_OK ? sort_keys(call, keys, keys + count, count, sorted) : status;
}

/** The scales of bags whose mean was taken, else NULL. */
qn_status bag_scales(const qn_call *call, double **scale) {
    const qn_view *index = &call->in[QN_EMBEDDING_GRAD_ROWS_INDEX];
    *scale = nullptr;
    if (!takes_means(call))
        return QN_OK;
    *scale = (double *)call->workspace + 2 * qn_view_count(index);
    const scale_of_bag work{(const int64_t *)index->data,
                            index->shape[1],
                            {index->stride[0], index->stride[1]},
                            ((const qn_embedding_attrs *)call->attrs)->padding,
                            *scale};
    return each_launch(call, index->shape[0], work);
}

/** Adds g onto a gradient. `seen` NULL: no row holds anything yet, so that sums begin as those of a
 * gradient by rows do: with the first position. */
template <class T>
qn_status add_rows(const qn_call *call, const qn_view *grad, const qn_view *seen) {
    const qn_view *g = &call->in[QN_EMBEDDING_GRAD_ROWS_G],
                  *index = &call->in[QN_EMBEDDING_GRAD_ROWS_INDEX];
    const bool bags = ((const qn_embedding_attrs *)call->attrs)->bag != QN_EMBEDDING_ROWS;
    const int64_t rows = grad->shape[0], count = qn_view_count(index);
    int64_t *keys;
    double *scale;
    qn_status status = sorted_positions(call, rows, &keys);
    if (status == QN_OK)
        status = bag_scales(call, &scale);
    if (status != QN_OK)
        return status;
    const gradient_of_row<T> row{keys,
                                 count,
                                 rows,
                                 grad->shape[1],
                                 bags ? index->shape[1] : 1,
                                 cuda_walk_of(g),
                                 (const T *)g->data,
                                 scale,
                                 (T *)grad->data,
                                 {grad->stride[0], grad->stride[1]},
                                 seen ? (const uint8_t *)seen->data : nullptr,
                                 seen ? seen->stride[0] : 0};
    status = each_launch(call, count * grad->shape[1], row);
    if (status != QN_OK || !seen)
        return status;
    const mark_of_row mark{keys, count, rows, (uint8_t *)seen->data, seen->stride[0]};
    return each_launch(call, count, mark);
}

template <class T> qn_status embedding_grad(const qn_call *call) {
    const zeros<T> zero{(T *)call->out->data};
    qn_status status = each_launch(call, qn_view_count(call->out), zero);
    return status == QN_OK ? add_rows<T>(call, call->out, nullptr) : status;
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? embedding_grad<double>(call) : embedding_grad<float>(call);
}

qn_status run_rows(const qn_call *call) {
    const qn_view *grad = &call->in[QN_EMBEDDING_GRAD_ROWS_GRAD],
                  *seen = &call->in[QN_EMBEDDING_GRAD_ROWS_SEEN];
    return call->in->dtype == QN_F64 ? add_rows<double>(call, grad, seen)
                                     : add_rows<float>(call, grad, seen);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_embedding_grad;
const qn_kernel qnk_cuda_embedding_grad = {.size = sizeof(qn_kernel),
                                           .op = "embedding_grad",
                                           .workspace = workspace,
                                           .run = run,
                                           .attrs_size = sizeof(qn_embedding_attrs)};

extern "C" const qn_kernel qnk_cuda_embedding_grad_rows;
const qn_kernel qnk_cuda_embedding_grad_rows = {.size = sizeof(qn_kernel),
                                                .op = "embedding_grad_rows",
                                                .workspace = workspace,
                                                .run = run_rows,
                                                .attrs_size = sizeof(qn_embedding_attrs)};
