/* square_sum.c: the sum of squares of all elements, for clipping by norm. */
#include "internal.h"

static qn_status square_sum_infer(qni_infer *call) {
    call->dtype[0] = call->in[0]->view.dtype;
    call->shape[0] = QN_SCALAR;
    return qni_expect_float(call, 0);
}

const qni_op qni_op_square_sum = {
    .name = "square_sum",
    .inputs = 1,
    .outputs = 1,
    .infer = square_sum_infer,
};

qn_tensor *qn_square_sum(qn_tensor *x) { return qni_unary(&qni_op_square_sum, x, NULL); }
