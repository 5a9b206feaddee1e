/* cast.c: the same values in another dtype. */
#include <stddef.h>

#include "internal.h"

static const qni_field cast_fields[] = {
    {.name = "dtype", .type = QNI_I32, .offset = offsetof(qn_cast_attrs, dtype), .count = 1},
    {0},
};

static qn_status cast_infer(qni_infer *call) {
    const qn_cast_attrs *attrs = call->attrs;
    call->dtype[0] = (qn_dtype)attrs->dtype;
    call->shape[0] = qni_shape_of(&call->in[0]->view);
    return QN_OK;
}

/* dx = g in x's dtype. */
static void cast_backward(qni_backward *b) {
    qni_give(b, 0, qn_cast(b->grad[0], b->in[0]->view.dtype));
}

const qni_op qni_op_cast = {
    .name = "cast",
    .in = "x",
    .out = "y",
    .inputs = 1,
    .outputs = 1,
    .unread = 1,
    .unread_outputs = 1,
    .attrs_size = sizeof(qn_cast_attrs),
    .fields = cast_fields,
    .elementwise = true,
    .infer = cast_infer,
    .backward = cast_backward,
    .cost = {.of = QNI_PER_OUTPUT},
};

qn_tensor *qn_cast(qn_tensor *x, qn_dtype dtype) {
    if (!x || x->view.dtype == dtype)
        return x;
    qn_cast_attrs attrs = {.dtype = (int32_t)dtype};
    return qni_unary(&qni_op_cast, x, &attrs);
}
