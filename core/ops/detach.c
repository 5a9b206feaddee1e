/* detach.c: the same elements, cut from the tape. */
#include "internal.h"

qn_tensor *qn_detach(qn_tensor *x) {
    qn_tensor *y = x ? qni_tensor_view(x, &x->view) : NULL;
    if (y)
        qni_trace_view(y->ctx, "detach", x, NULL, 0, y);
    return y;
}
