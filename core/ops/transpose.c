/* transpose.c: two axes swapped. */
#include "internal.h"

qn_tensor *qn_transpose(qn_tensor *x, int axis_a, int axis_b) {
    if (!x)
        return NULL;
    int a = qni_axis("transpose", x, axis_a), b = qni_axis("transpose", x, axis_b);
    if (a < 0 || b < 0)
        return NULL;
    qn_axes order = {.count = x->view.rank};
    for (int axis = 0; axis < order.count; axis++)
        order.axis[axis] = axis == a ? b : axis == b ? a : axis;
    return qn_permute(x, order);
}
