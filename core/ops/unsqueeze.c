/* unsqueeze.c: a new axis of extent 1. */
#include "internal.h"

qn_tensor *qn_unsqueeze(qn_tensor *x, int axis) {
    if (!x)
        return NULL;
    qn_shape shape = {.rank = x->view.rank + 1};
    int at = axis < 0 ? axis + shape.rank : axis;
    if (at < 0 || at >= shape.rank || shape.rank > QN_MAX_DIMS) {
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "unsqueeze: no place for an axis %d: %s", axis,
                        qni_text(x).s);
        return NULL;
    }
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = i == at ? 1 : x->view.shape[i - (i > at)];
    return qn_reshape(x, shape);
}
