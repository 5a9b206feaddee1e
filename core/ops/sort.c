/* sort.c: the elements of each line along an axis in order. */
#include "internal.h"

static qn_status sort_infer(qni_infer *call) {
    qn_status status = qni_infer_unary(call);
    call->dtype[1] = QN_I64;
    call->shape[1] = call->shape[0];
    return status;
}

/* dx = g at the place each element came from. */
static void sort_backward(qni_backward *b) {
    const qn_sort_attrs *attrs = b->attrs;
    if (b->needs[0] && b->grad[0])
        qni_give(
            b, 0,
            qn_scatter_add(b->grad[0], attrs->axis, b->out[1], b->in[0]->view.shape[attrs->axis]));
}

const qni_op qni_op_sort = {
    .name = "sort",
    .in = "x",
    .out = "y index",
    .inputs = 1,
    .outputs = 2,
    .attrs_size = sizeof(qn_sort_attrs),
    .fields = qni_sort_fields,
    .infer = sort_infer,
    .backward = sort_backward,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_tensor *qn_sort(qn_tensor *x, int axis, bool descending, qn_tensor **index) {
    if (index)
        *index = NULL;
    int at = x ? qni_axis("sort", x, axis) : -1;
    if (at < 0)
        return NULL;
    qn_sort_attrs attrs = {.axis = at, .descending = descending};
    qn_tensor *out[2];
    if (qni_apply_all(&qni_op_sort, &x, 1, &attrs, out) != QN_OK)
        return NULL;
    if (index)
        *index = out[1];
    return out[0];
}
