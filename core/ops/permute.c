/* permute.c: the axes in another order. */
#include <stddef.h>

#include "internal.h"

typedef struct permute_attrs {
    int32_t order[QN_MAX_DIMS];
} permute_attrs;

static const qni_field permute_fields[] = {
    {.name = "order",
     .type = QNI_I32,
     .offset = offsetof(permute_attrs, order),
     .count = QN_MAX_DIMS},
    {0},
};

/* dx = g with its axes put back. */
static void permute_backward(qni_backward *b) {
    const permute_attrs *attrs = b->attrs;
    qn_axes back = {.count = b->in[0]->view.rank};
    for (int axis = 0; axis < back.count; axis++)
        back.axis[attrs->order[axis]] = axis;
    qni_give(b, 0, qn_permute(b->grad[0], back));
}

const qni_op qni_op_permute = {
    .name = "permute",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .view = true,
    .attrs_size = sizeof(permute_attrs),
    .fields = permute_fields,
    .backward = permute_backward,
};

qn_tensor *qn_permute(qn_tensor *x, qn_axes order) {
    uint32_t named;
    if (!x || !qni_axes("permute", x, order, &named))
        return NULL;
    if (order.count != x->view.rank) {
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "permute: %d axes named, not %d: %s",
                        order.count, x->view.rank, qni_text(x).s);
        return NULL;
    }
    permute_attrs attrs = {0};
    qn_view view = x->view;
    for (int axis = 0; axis < order.count; axis++) {
        int from = qni_axis("permute", x, order.axis[axis]);
        attrs.order[axis] = from;
        view.shape[axis] = x->view.shape[from];
        view.stride[axis] = x->view.stride[from];
    }
    return qni_apply_view(&qni_op_permute, x, &attrs, &view);
}
