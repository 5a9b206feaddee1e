/* simd_table.h: what kernels on some rows of a table share: indices as an array, rows added up, and
 * the rows that are seen. */
#ifndef QN_SIMD_TABLE_H
#define QN_SIMD_TABLE_H

#include <stdio.h>
#include <string.h>

#include "simd.h"

/** Copies the elements of an i64 view, row-major, to `out`. One outside 0 .. rows - 1 is an error
 * that names it and its position. */
static inline qn_status simd_table_indices(const qn_call *call, const qn_view *index, int64_t rows,
                                           int64_t *out) {
    const int64_t count = qn_view_count(index), last = index->rank - 1;
    const int64_t length = index->rank > 0 ? index->shape[last] : 1;
    const int64_t step = index->rank > 0 ? index->stride[last] : 0;
    for (int64_t done = 0; done < count; done += length) {
        const int64_t *from = index->data;
        int64_t outer = done / length;
        for (int axis = index->rank - 2; axis >= 0; axis--) {
            from += outer % index->shape[axis] * index->stride[axis];
            outer /= index->shape[axis];
        }
        for (int64_t i = 0; i < length; i++) {
            int64_t row = from[i * step];
            if (row < 0 || row >= rows) {
                snprintf(call->reason, QN_REASON_SIZE,
                         "index %lld at position %lld is outside 0 .. %lld", (long long)row,
                         (long long)(done + i), (long long)rows - 1);
                return QN_INVALID_ARGUMENT;
            }
            out[done + i] = row;
        }
    }
    return QN_OK;
}

/** sum += scale * x, over n elements. */
SIMD_INLINE void simd_table_add(float *sum, const float *x, int64_t n, float scale) {
    const vf factor = v_set(scale);
    int64_t i = 0;
    for (; i + V_WIDTH <= n; i += V_WIDTH)
        v_store(sum + i, v_fma(factor, v_load(x + i), v_load(sum + i)));
    if (i < n)
        v_store_part(sum + i, v_fma(factor, v_load_part(x + i, n - i), v_load_part(sum + i, n - i)),
                     n - i);
}

/** Rows of `width` elements, of which those marked in `seen` take part (NULL: all). */
typedef struct simd_seen {
    const uint8_t *seen;
    int64_t width;
} simd_seen;

/** The next elements *begin .. *stop - 1 that take part, from *begin on and below `end`; false if
 * there are none. Both ends lie between rows. */
static inline bool simd_seen_next(const simd_seen *rows, int64_t *begin, int64_t end,
                                  int64_t *stop) {
    *stop = end;
    if (!rows->seen || *begin >= end)
        return *begin < end;
    const uint8_t *first = rows->seen + *begin / rows->width;
    const uint8_t *after = rows->seen + end / rows->width;
    first = memchr(first, 1, (size_t)(after - first));
    if (!first)
        return false;
    const uint8_t *gap = memchr(first, 0, (size_t)(after - first));
    *begin = (first - rows->seen) * rows->width;
    if (gap)
        *stop = (gap - rows->seen) * rows->width;
    return true;
}

/** The rows of x [rows, ...] that an optional contiguous view marks. */
static inline simd_seen simd_seen_open(const qn_view *x, const qn_view *seen) {
    const int64_t count = seen->data ? qn_view_count(x) : 0;
    return (simd_seen){.seen = seen->data, .width = count > 0 ? count / x->shape[0] : 1};
}

/** Elements of a task of about `piece`: whole rows. */
static inline int64_t simd_seen_piece(const simd_seen *rows, int64_t piece) {
    return rows->width < piece ? piece / rows->width * rows->width : rows->width;
}

#endif
