/* sort: the elements of each line along an axis in order, and where they came from; a stable merge
 * of ever longer runs. NaN counts as greater than everything else. */
#include "ref_lines.h"

/** Whether the element at place b of a line comes before the one at
 * place a, which is left of it. */
static bool overtakes(const qn_view *x, int64_t a, int64_t b, bool descending) {
    double left = ref_load(x, a * x->stride[0]), right = ref_load(x, b * x->stride[0]);
    if (left != left || right != right)
        return descending ? left == left : right == right && left != left;
    return descending ? right > left : right < left;
}

/** Merges the runs of places from[first .. middle) and from[middle ..
 * end) into to[first .. end). */
static void merge(const qn_view *x, bool descending, const int64_t *from, int64_t *to,
                  const int64_t bounds[3]) {
    int64_t left = bounds[0], right = bounds[1];
    for (int64_t i = bounds[0]; i < bounds[2]; i++) {
        bool take_right = left == bounds[1] ||
                          (right < bounds[2] && overtakes(x, from[left], from[right], descending));
        to[i] = take_right ? from[right++] : from[left++];
    }
}

/** The places of a line in order, in one of the two halves of `scratch` (2 * count). */
static const int64_t *sorted(const qn_view *x, bool descending, int64_t *scratch) {
    const int64_t count = x->shape[0];
    int64_t *from = scratch, *to = scratch + count;
    for (int64_t i = 0; i < count; i++)
        from[i] = i;
    for (int64_t run = 1; run < count; run *= 2) {
        for (int64_t first = 0; first < count; first += 2 * run) {
            const int64_t middle = first + run < count ? first + run : count;
            const int64_t end = first + 2 * run < count ? first + 2 * run : count;
            merge(x, descending, from, to, (const int64_t[]){first, middle, end});
        }
        int64_t *swapped = from;
        from = to;
        to = swapped;
    }
    return from;
}

static size_t workspace(const qn_call *call) {
    const qn_sort_attrs *attrs = call->attrs;
    return 2 * sizeof(int64_t) * (size_t)call->in[0].shape[attrs->axis];
}

static qn_status run(const qn_call *call) {
    const qn_sort_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0], *y = &call->out[0], *index = &call->out[1];
    const int64_t stride = y->stride[attrs->axis];
    qn_view first_x = *x, first_y = *y; /* the first element of each line */
    first_x.shape[attrs->axis] = first_y.shape[attrs->axis] = 1;
    if (qn_view_count(y) == 0)
        return QN_OK;
    for (ref_walk w = ref_start(2, (const qn_view *[]){&first_y, &first_x}); w.left > 0;
         ref_next(&w)) {
        const qn_view line = ref_line_at(x, attrs->axis, w.at[1]);
        const int64_t *place = sorted(&line, attrs->descending, call->workspace);
        for (int64_t i = 0; i < line.shape[0]; i++) {
            ref_move(y, w.at[0] + i * stride, &line, place[i] * line.stride[0]);
            ((int64_t *)index->data)[w.at[0] + i * stride] = place[i];
        }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_sort = {.size = sizeof(qn_kernel),
                                .op = "sort",
                                .workspace = workspace,
                                .run = run,
                                .attrs_size = sizeof(qn_sort_attrs)};
