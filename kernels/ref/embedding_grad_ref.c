/* embedding_grad: zeros, then each row of g is added to the row of the table that it was looked up
 * from, in the order of indices. embedding_grad_rows: the same onto a gradient of which the rows
 * seen hold something. */
#include "ref_bag.h"

/** Adds row `from` of g, times scale, to a row of the gradient. */
static void add_row(const qn_view *grad, int64_t row, const qn_view *g, int64_t from,
                    double scale) {
    const int64_t width = grad->shape[1];
    for (int64_t c = 0; c < width; c++) {
        int64_t at = row * grad->stride[0] + c * grad->stride[1];
        double term = scale * ref_load(g, ref_offset(g, from * width + c));
        ref_store(grad, at, ref_load(grad, at) + term);
    }
}

/** The first gradient of a row finds zeros. */
static void touch_row(const qn_view *grad, const qn_view *seen, int64_t row) {
    uint8_t *mark = (uint8_t *)seen->data + row * seen->stride[0];
    if (*mark)
        return;
    for (int64_t c = 0; c < grad->shape[1]; c++)
        ref_store(grad, row * grad->stride[0] + c * grad->stride[1], 0);
    *mark = 1;
}

/** `seen` NULL: all rows hold something. */
static qn_status add_rows(const qn_call *call, const qn_view *grad, const qn_view *seen) {
    const qn_embedding_attrs *attrs = call->attrs;
    const qn_view *g = &call->in[0], *index = &call->in[1];
    const bool bags = attrs->bag != QN_EMBEDDING_ROWS;
    int64_t position = 0;
    for (ref_walk w = ref_start(1, &index); w.left > 0; ref_next(&w), position++) {
        int64_t row = ref_load_index(index, w.at[0]);
        if (row < 0 || row >= grad->shape[0])
            return ref_bad_index(call, row, position, grad->shape[0]);
        if (row == attrs->padding)
            continue;
        int64_t from = bags ? position / index->shape[1] : position;
        if (seen)
            touch_row(grad, seen, row);
        add_row(grad, row, g, from, bags ? ref_bag_scale(index, from, attrs) : 1);
    }
    return QN_OK;
}

static qn_status run(const qn_call *call) {
    ref_fill(call->out, 0);
    return add_rows(call, call->out, NULL);
}

const qn_kernel qnk_ref_embedding_grad = {.size = sizeof(qn_kernel),
                                          .op = "embedding_grad",
                                          .run = run,
                                          .attrs_size = sizeof(qn_embedding_attrs)};

static qn_status run_rows(const qn_call *call) {
    return add_rows(call, &call->in[QN_EMBEDDING_GRAD_ROWS_GRAD],
                    &call->in[QN_EMBEDDING_GRAD_ROWS_SEEN]);
}

const qn_kernel qnk_ref_embedding_grad_rows = {.size = sizeof(qn_kernel),
                                               .op = "embedding_grad_rows",
                                               .run = run_rows,
                                               .attrs_size = sizeof(qn_embedding_attrs)};
