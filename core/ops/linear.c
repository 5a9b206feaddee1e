/* linear.c: y = x W^T + b, the fully connected layer. */
#include "internal.h"

static qn_status linear_infer(qni_infer *call) {
    const qn_tensor *x = call->in[0], *weight = call->in[1];
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_same_dtype(call, 1, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 1, 2);
    if (status != QN_OK)
        return status;
    int64_t features = qn_tensor_dim(x, -1);
    if (x->view.rank == 0 || features != weight->view.shape[1])
        return qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                               "linear: input has %lld features but weight expects %lld: %s x %s",
                               (long long)features, (long long)weight->view.shape[1], qni_text(x).s,
                               qni_text(weight).s);
    status = qni_expect_rank(call, 0, 2);
    if (status == QN_OK)
        status = qni_expect_like(call, 2, 0, QN_SHAPE(weight->view.shape[0]));
    call->dtype[0] = x->view.dtype;
    call->shape[0] = QN_SHAPE(x->view.shape[0], weight->view.shape[0]);
    return status;
}

/* The kernel is matmul's: it sees the weight [out, in] as its transpose [in, out]. The tape keeps
 * the weight itself, so that its gradient g^T x is written where the leaf wants it. */
static void linear_arrange(qn_view *in) {
    qn_view weight = in[1];
    in[1].shape[0] = weight.shape[1];
    in[1].shape[1] = weight.shape[0];
    in[1].stride[0] = weight.stride[1];
    in[1].stride[1] = weight.stride[0];
}

/* dx = g W, dW = g^T x, db = the sum of g's rows. */
static void linear_backward(qni_backward *b) {
    qn_tensor *g = b->grad[0];
    static const qn_matmul_attrs plain = {0};
    if (b->needs[0]) {
        qn_tensor *in[3] = {g, b->in[1], NULL};
        qni_give(b, 0, qni_apply_to(&qni_op_matmul, in, 3, &plain, qni_target(b, 0)));
    }
    if (b->needs[1]) {
        qn_tensor *in[3] = {qn_transpose(g, 0, 1), b->in[0], NULL};
        qni_give(b, 1, qni_apply_to(&qni_op_matmul, in, 3, &plain, qni_target(b, 1)));
    }
    if (b->needs[2])
        qni_give(b, 2, qni_sum_to(g, qni_shape_of(&b->in[2]->view), qni_target(b, 2)));
}

static int32_t *linear_relu(void *attrs) { return &((qn_matmul_attrs *)attrs)->relu; }

const qni_op qni_op_linear = {
    .name = "linear",
    .kernel = "matmul",
    .in = "x w bias",
    .out = "y",
    .inputs = 3,
    .outputs = 1,
    .unread = 1u << 2,
    .unread_outputs = 1,
    .optional = 1u << 2,
    .attrs_size = sizeof(qn_matmul_attrs),
    .fields = qni_matmul_fields,
    .relu = linear_relu,
    .infer = linear_infer,
    .arrange = linear_arrange,
    .backward = linear_backward,
    .cost = {.of = QNI_FORMULA, .formula = qni_matmul_operations},
};

qn_tensor *qn_linear(qn_tensor *x, qn_tensor *weight, qn_tensor *bias) {
    if (!qni_given("linear", (qn_tensor *[]){x, weight}, 2))
        return NULL;
    qn_matmul_attrs attrs = {0};
    qn_shape shape = qni_shape_of(&x->view);
    int last = shape.rank - 1;
    bool fits = last >= 0 && weight->view.rank == 2 && shape.dim[last] == weight->view.shape[1];
    /* What does not fit goes on as it is, for the shape rule to name it. */
    if (shape.rank == 2 || !fits)
        return qni_apply(&qni_op_linear, (qn_tensor *[]){x, weight, bias}, 3, &attrs);
    int64_t rows = 1;
    for (int axis = 0; axis < last; axis++)
        rows *= shape.dim[axis];
    x = qn_reshape(x, QN_SHAPE(rows, shape.dim[last]));
    shape.dim[last] = weight->view.shape[0];
    return qn_reshape(qni_apply(&qni_op_linear, (qn_tensor *[]){x, weight, bias}, 3, &attrs),
                      shape);
}
