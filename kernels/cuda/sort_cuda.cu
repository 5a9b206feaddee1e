/* sort_cuda.cu: the elements of each line along an axis in order, and where they came from; a
 * stable merge of ever longer runs, NaN greater than everything else. In each round every element
 * finds its place in the merged run by itself: its place in its own run, and how many of the
 * neighbouring run come before it, by bisection. */
#include "cuda_lines.h"

namespace {

enum { BLOCK = 256 };

/** Whether b comes before a where a is the one to the left: ties stay as they are. */
template <class T> __device__ inline bool overtakes(T a, T b, bool descending) {
    if (a != a || b != b)
        return descending ? a == a : b == b && a != a;
    return descending ? b > a : b < a;
}

template <class T>
__global__ void merge_round(int64_t lines, int64_t length, int64_t run, bool descending,
                            const T *from, const int64_t *from_index, T *to, int64_t *to_index) {
    for (int64_t e = gpu_first(); e < lines * length; e += gpu_step()) {
        const int64_t line = e / length, i = e - line * length;
        const T *values = from + line * length, value = values[i];
        const int64_t first = i / (2 * run) * (2 * run);
        const int64_t middle = first + run < length ? first + run : length;
        const int64_t end = first + 2 * run < length ? first + 2 * run : length;
        const bool left = i < middle;
        int64_t low = left ? middle : first, high = left ? end : middle;
        const int64_t other = low;
        while (low < high) { /* the first of the other run that does not come before `value` */
            const int64_t at = low + (high - low) / 2;
            const bool before = left ? overtakes(value, values[at], descending)
                                     : !overtakes(values[at], value, descending);
            if (before)
                low = at + 1;
            else
                high = at;
        }
        const int64_t place = first + (i - (left ? first : middle)) + (low - other);
        to[line * length + place] = value;
        to_index[line * length + place] = from_index[e];
    }
}

template <class T>
__global__ void gather_lines(cuda_lines lines, const T *x, T *values, int64_t *index) {
    for (int64_t e = gpu_first(); e < lines.first.count * lines.length; e += gpu_step()) {
        const int64_t line = e / lines.length, i = e - line * lines.length;
        int64_t at[2];
        cuda_walk_at<2>(lines.first, line, at);
        values[e] = x[at[1] + i * lines.step[1]];
        index[e] = i;
    }
}

template <class T>
__global__ void scatter_lines(cuda_lines lines, const T *values, const int64_t *index, T *y,
                              int64_t *y_index) {
    for (int64_t e = gpu_first(); e < lines.first.count * lines.length; e += gpu_step()) {
        const int64_t line = e / lines.length, i = e - line * lines.length;
        int64_t at[2];
        cuda_walk_at<2>(lines.first, line, at);
        y[at[0] + i * lines.step[0]] = values[e];
        y_index[at[0] + i * lines.step[0]] = index[e];
    }
}

/** Two sets of values and indices, merged from one into the other. */
size_t workspace(const qn_call *call) {
    return 2 * (size_t)qn_view_count(call->in) * (sizeof(double) + sizeof(int64_t));
}

template <class T> qn_status run_as(const qn_call *call) {
    const qn_sort_attrs *attrs = (const qn_sort_attrs *)call->attrs;
    const cuda_lines lines = cuda_lines_of(attrs->axis, &call->out[0], &call->in[0]);
    const int64_t count = lines.first.count * lines.length;
    const dim3 grid = gpu_blocks(call, count, BLOCK);
    int64_t *index[2] = {(int64_t *)call->workspace, (int64_t *)call->workspace + count};
    T *values[2] = {(T *)(index[1] + count), (T *)(index[1] + count) + count};
    int now = 0;
    qn_status status = gpu_launch(call, gather_lines<T>, grid, BLOCK, 0, lines,
                                  (const T *)call->in[0].data, values[0], index[0]);
    for (int64_t run = 1; run < lines.length && status == QN_OK; run *= 2, now = 1 - now)
        status = gpu_launch(call, merge_round<T>, grid, BLOCK, 0, lines.first.count, lines.length,
                            run, (bool)attrs->descending, (const T *)values[now],
                            (const int64_t *)index[now], values[1 - now], index[1 - now]);
    if (status != QN_OK)
        return status;
    return gpu_launch(call, scatter_lines<T>, grid, BLOCK, 0, lines, (const T *)values[now],
                      (const int64_t *)index[now], (T *)call->out[0].data,
                      (int64_t *)call->out[1].data);
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_sort;
const qn_kernel qnk_cuda_sort = {.size = sizeof(qn_kernel),
                                 .op = "sort",
                                 .workspace = workspace,
                                 .run = run,
                                 .attrs_size = sizeof(qn_sort_attrs)};
