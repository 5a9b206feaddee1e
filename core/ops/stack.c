/* stack.c: tensors of one shape joined along a new axis. */
#include "internal.h"

qn_tensor *qn_stack(qn_tensor *const *parts, int count, int axis) {
    if (!parts || count < 1)
        return NULL;
    qn_tensor *rows[QN_MAX_INPUTS];
    int groups = count < QN_MAX_INPUTS ? count : QN_MAX_INPUTS;
    for (int i = 0, first = 0; i < groups; i++) {
        int size = (count - first) / (groups - i);
        rows[i] =
            size == 1 ? qn_unsqueeze(parts[first], axis) : qn_stack(parts + first, size, axis);
        first += size;
        if (!rows[i])
            return NULL;
        if (i > 0 && !qn_view_same_shape(&parts[first - 1]->view, &parts[0]->view)) {
            qn_context_fail(parts[0]->ctx, QN_SHAPE_MISMATCH, "stack: shapes differ: %s x %s",
                            qni_text(parts[0]).s, qni_text(parts[first - 1]).s);
            return NULL;
        }
    }
    return qn_concat(rows, groups, axis);
}
