/* flatten.c: all axes from one on joined to one. */
#include "internal.h"

qn_tensor *qn_flatten(qn_tensor *x, int axis) {
    int at = x ? qni_axis("flatten", x, axis) : -1;
    if (at < 0)
        return NULL;
    qn_shape shape = {.rank = at + 1};
    for (int i = 0; i < at; i++)
        shape.dim[i] = x->view.shape[i];
    shape.dim[at] = 1;
    for (int i = at; i < x->view.rank; i++)
        shape.dim[at] *= x->view.shape[i];
    return qn_reshape(x, shape);
}
