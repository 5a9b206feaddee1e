/* squeeze.c: an axis of extent 1 dropped. */
#include "internal.h"

qn_tensor *qn_squeeze(qn_tensor *x, int axis) {
    int at = x ? qni_axis("squeeze", x, axis) : -1;
    if (at < 0)
        return NULL;
    if (x->view.shape[at] != 1) {
        qn_context_fail(x->ctx, QN_SHAPE_MISMATCH, "squeeze: axis %d is not of extent 1: %s", axis,
                        qni_text(x).s);
        return NULL;
    }
    qn_shape shape = {.rank = x->view.rank - 1};
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = x->view.shape[i + (i >= at)];
    return qn_reshape(x, shape);
}
