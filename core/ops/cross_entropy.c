/* cross_entropy.c: the classifier's loss, softmax included, and its gradient. */
#include "internal.h"

/* No class has this index: the kernels take it as "ignore nothing". */
static const int64_t ignore_nothing = INT64_MIN;

static qn_status cross_entropy_infer(qni_infer *call) {
    const qn_view *logits = &call->in[QN_CROSS_ENTROPY_LOGITS]->view;
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 0, 2);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 1, QN_I64);
    if (status == QN_OK)
        status = qni_expect_shape(call, 1, QN_SHAPE(logits->shape[0]));
    for (int i = 0; i < 3; i++)
        call->dtype[i] = logits->dtype;
    call->shape[0] = QN_SCALAR;
    call->shape[1] = QN_SHAPE(logits->shape[0]);
    call->shape[2] = QN_SCALAR;
    return status;
}

static void cross_entropy_backward(qni_backward *b) {
    if (!b->needs[0] || !b->grad[0])
        return;
    qn_tensor *in[5] = {b->grad[0], b->in[QN_CROSS_ENTROPY_LOGITS], b->in[QN_CROSS_ENTROPY_TARGET],
                        b->out[QN_CROSS_ENTROPY_OUT_LSE], b->out[QN_CROSS_ENTROPY_OUT_SCALE]};
    qni_give(b, 0, qni_apply_to(&qni_op_cross_entropy_grad, in, 5, b->attrs, qni_target(b, 0)));
}

const qni_op qni_op_cross_entropy = {
    .name = "cross_entropy",
    .in = "logits target",
    .out = "loss lse scale",
    .inputs = 2,
    .outputs = 3,
    .attrs_size = sizeof(qn_cross_entropy_attrs),
    .fields = qni_cross_entropy_fields,
    .infer = cross_entropy_infer,
    .backward = cross_entropy_backward,
    .cost = {.of = QNI_PER_INPUT, .each = 4},
};

qn_tensor *qn_cross_entropy(qn_tensor *logits, qn_tensor *target) {
    return qn_cross_entropy_with(logits, target, NULL);
}

/** Whether target's shape is that of the logits without axis 1. */
static bool target_fits(const qn_view *logits, const qn_view *target) {
    if (logits->rank < 2 || target->rank != logits->rank - 1)
        return false;
    bool fits = logits->shape[0] == target->shape[0];
    for (int axis = 2; axis < logits->rank; axis++)
        fits = fits && logits->shape[axis] == target->shape[axis - 1];
    return fits;
}

/** [n, classes, a, b] -> [n a b, classes]. */
static qn_tensor *classes_last(qn_tensor *logits) {
    const qn_view *view = &logits->view;
    qn_axes order = {.count = view->rank, .axis = {0}};
    int64_t rows = view->shape[0];
    for (int axis = 2; axis < view->rank; axis++) {
        order.axis[axis - 1] = axis;
        rows *= view->shape[axis];
    }
    order.axis[view->rank - 1] = 1;
    return qn_reshape(qn_permute(logits, order), QN_SHAPE(rows, view->shape[1]));
}

qn_tensor *qn_cross_entropy_with(qn_tensor *logits, qn_tensor *target,
                                 const qn_cross_entropy_opts *opts) {
    if (!qni_given("cross_entropy", (qn_tensor *[]){logits, target}, 2))
        return NULL;
    qn_cross_entropy_attrs attrs = {0};
    attrs.label_smoothing = opts ? opts->label_smoothing : 0;
    attrs.ignore_index = opts && opts->ignore ? opts->ignore_index : ignore_nothing;
    if (!(attrs.label_smoothing >= 0 && attrs.label_smoothing <= 1)) {
        qn_context_fail(logits->ctx, QN_INVALID_ARGUMENT,
                        "cross_entropy: label smoothing must be within 0 and 1, got %g",
                        attrs.label_smoothing);
        return NULL;
    }
    if (!target_fits(&logits->view, &target->view)) {
        qn_context_fail(logits->ctx, QN_SHAPE_MISMATCH,
                        "cross_entropy: logits are [n, classes, ...] and targets [n, ...], got "
                        "%s and %s",
                        qni_text(logits).s, qni_text(target).s);
        return NULL;
    }
    if (logits->view.rank > 2) {
        logits = classes_last(logits);
        target = qn_reshape(target, QN_SHAPE(qn_tensor_count(target)));
    }
    qn_tensor *out[3];
    qn_tensor *in[2] = {logits, target};
    if (qni_apply_all(&qni_op_cross_entropy, in, 2, &attrs, out) != QN_OK)
        return NULL;
    return out[0];
}

static qn_status cross_entropy_grad_infer(qni_infer *call) {
    const qn_view *logits = &call->in[QN_CROSS_ENTROPY_GRAD_LOGITS]->view;
    qn_status status = qni_expect_float(call, 1);
    if (status == QN_OK)
        status = qni_expect_rank(call, 1, 2);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 2, QN_I64);
    qn_shape rows = QN_SHAPE(logits->shape[0]);
    const qn_shape shape[5] = {QN_SCALAR, qni_shape_of(logits), rows, rows, QN_SCALAR};
    for (int i = 0; i < 5 && status == QN_OK; i++) {
        status = qni_expect_shape(call, i, shape[i]);
        if (status == QN_OK && i != 2)
            status = qni_expect_same_dtype(call, i, 1);
    }
    call->dtype[0] = logits->dtype;
    call->shape[0] = qni_shape_of(logits);
    return status;
}

/* dx = g scale (p - q) in the rows that count, with p = softmax(logits) and q the smoothed target.
 * For u, the gradient of dx: with respect to g it is sum(u dx / g), and with respect to the logits
 * g scale p (u - sum(u p)), where lse's own dependence on the logits is included: nothing is handed
 * back to lse. */
static void cross_entropy_grad_backward(qni_backward *b) {
    const qn_cross_entropy_attrs *attrs = b->attrs;
    qn_tensor *g = b->in[QN_CROSS_ENTROPY_GRAD_G], *logits = b->in[QN_CROSS_ENTROPY_GRAD_LOGITS],
              *target = b->in[QN_CROSS_ENTROPY_GRAD_TARGET], *u = b->grad[0];
    qn_dtype dtype = logits->view.dtype;
    if (b->needs[0]) {
        qn_tensor *one = qn_ones(b->ctx, dtype, QN_SCALAR);
        qn_tensor *in[5] = {one, logits, target, b->in[QN_CROSS_ENTROPY_GRAD_LSE],
                            b->in[QN_CROSS_ENTROPY_GRAD_SCALE]};
        qn_tensor *unit = qni_apply(&qni_op_cross_entropy_grad, in, 5, attrs);
        qni_give(b, 0, qn_sum(qn_mul(u, unit), QN_ALL, false));
    }
    if (!b->needs[1])
        return;
    qn_tensor *ignored = qn_full(b->ctx, QN_I64, QN_SCALAR, (double)attrs->ignore_index);
    qn_tensor *counts = qn_cast(qn_not_equal(target, ignored), dtype);
    qn_tensor *weight =
        qn_unsqueeze(qn_mul(qn_mul(g, b->in[QN_CROSS_ENTROPY_GRAD_SCALE]), counts), 1);
    qn_tensor *p = qn_softmax(logits, 1);
    qn_tensor *centred = qn_sub(u, qn_sum(qn_mul(u, p), QN_AXES(1), true));
    qni_give(b, 1, qn_mul(weight, qn_mul(p, centred)));
}

const qni_op qni_op_cross_entropy_grad = {
    .name = "cross_entropy_grad",
    .in = "g logits target lse scale",
    .out = "dlogits",
    .inputs = 5,
    .outputs = 1,
    .attrs_size = sizeof(qn_cross_entropy_attrs),
    .fields = qni_cross_entropy_fields,
    .infer = cross_entropy_grad_infer,
    .backward = cross_entropy_grad_backward,
    .cost = {.of = QNI_PER_OUTPUT, .each = 4},
};
