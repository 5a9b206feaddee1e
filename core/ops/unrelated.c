/* unrelated.c: a tensor that does not depend on another, said on the tape.
 *
 * The gradient of what is linear does not depend on the input. It can be differentiated again all
 * the same: its derivative by the input is zero, and not an error. */
#include "internal.h"

void qni_give_zeros(qni_backward *b, int i) {
    if (b->needs[i])
        qni_give(b, i, qn_zeros(b->ctx, b->in[i]->view.dtype, qni_shape_of(&b->in[i]->view)));
}

void qni_zero_backward(qni_backward *b) {
    for (int i = 0; i < b->n_in; i++)
        qni_give_zeros(b, i);
}

const qni_op qni_op_unrelated = {
    .name = "unrelated",
    .in = "y x",
    .out = "z",
    .inputs = 2,
    .outputs = 1,
    .view = true,
    .backward = qni_zero_backward,
};

qn_tensor *qni_unrelated(qn_tensor *y, qn_tensor *x) {
    qn_tensor *in[] = {y, x}, *out = qni_tensor_view(y, &y->view);
    if (out && !qni_tape_record(y->ctx, &qni_op_unrelated, in, 2, NULL, &out)) {
        qni_tensor_destroy(out);
        return NULL;
    }
    return out;
}
