/* detach.c: the same elements, cut from the tape. */
#include "internal.h"

/* No call for the tape: its descriptor is for those who look at a recorded step. */
static const qni_op detached = {.name = "detach", .inputs = 1, .outputs = 1, .view = true};

qn_tensor *qn_detach(qn_tensor *x) {
    qn_tensor *y =
        x && qni_check_elements("detach", x) == QN_OK ? qni_tensor_view(x, &x->view) : NULL;
    if (y)
        qni_trace_view(y->ctx, &detached, x, NULL, y);
    return y;
}
