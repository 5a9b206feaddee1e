/* recurrent.c: what lstm and gru share: the layout of sequences, and what surrounds the steps. */
#include "internal.h"

const char qni_once_recurrent[] = "recurrent layers can be differentiated once; linear, sigmoid "
                                  "and tanh, step by step, as often as needed";

static bool is_shape(const qn_tensor *x, qn_shape shape) {
    const qn_view wanted = qni_view_of(x->view.dtype, shape);
    return qn_view_same_shape(&x->view, &wanted);
}

bool qni_recurrent_fits(const char *op, int gates, const qn_tensor *x, const qn_tensor *w_ih,
                        const qn_tensor *w_hh, const qn_tensor *b_ih, const qn_tensor *b_hh) {
    const qn_tensor *given = x ? x : w_ih ? w_ih : w_hh;
    if (!given)
        return false;
    qn_context *ctx = given->ctx;
    if (!x || !w_ih || !w_hh) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: %s is NULL", op,
                        !x      ? "x"
                        : !w_ih ? "w_ih"
                                : "w_hh");
        return false;
    }
    const int64_t hidden = qn_tensor_dim(w_hh, -1), rows = gates * hidden;
    if (x->view.rank != 3 || !is_shape(w_hh, QN_SHAPE(rows, hidden)) ||
        !is_shape(w_ih, QN_SHAPE(rows, x->view.shape[2]))) {
        qn_context_fail(ctx, QN_SHAPE_MISMATCH,
                        "%s: expects x [n, t, in], w_ih [%d hidden, in] and w_hh [%d hidden, "
                        "hidden], got %s, %s and %s",
                        op, gates, gates, qni_text(x).s, qni_text(w_ih).s, qni_text(w_hh).s);
        return false;
    }
    const qn_tensor *const bias[2] = {b_ih, b_hh};
    for (int i = 0; i < 2; i++)
        if (bias[i] && !is_shape(bias[i], QN_SHAPE(rows))) {
            qn_context_fail(ctx, QN_SHAPE_MISMATCH, "%s: %s must be [%lld], is %s", op,
                            i ? "b_hh" : "b_ih", (long long)rows, qni_text(bias[i]).s);
            return false;
        }
    return true;
}

qn_status qni_infer_recurrent(qni_infer *call, int gates, int lengths) {
    const qn_view *gx = &call->in[0]->view, *w_hh = &call->in[1]->view;
    qn_status status = qni_expect_float(call, 0);
    for (int i = 1; i < call->n_in && status == QN_OK; i++)
        if (call->in[i])
            status = i == lengths ? qni_expect_dtype(call, i, QN_I64)
                                  : qni_expect_same_dtype(call, i, 0);
    if (status == QN_OK)
        status = qni_expect_rank(call, 0, 3);
    if (status == QN_OK)
        status = qni_expect_rank(call, 1, 2);
    if (status != QN_OK)
        return status;
    const int64_t n = gx->shape[1], hidden = w_hh->shape[1];
    status = qni_expect_shape(call, 1, QN_SHAPE(gates * hidden, hidden));
    if (status == QN_OK)
        status = qni_expect_shape(call, 0, QN_SHAPE(gx->shape[0], n, gates * hidden));
    if (status == QN_OK && call->in[lengths])
        status = qni_expect_shape(call, lengths, QN_SHAPE(n));
    return status;
}

qn_tensor *qni_recurrent_last(qn_tensor *states, qn_tensor *start, bool reverse) {
    if (!states)
        return NULL;
    const qn_view *view = &states->view;
    const int64_t steps = view->shape[0], last = reverse ? 0 : steps - 1;
    if (steps == 0)
        return start ? start
                     : qn_zeros(states->ctx, view->dtype, QN_SHAPE(view->shape[1], view->shape[2]));
    return qn_squeeze(qn_slice(states, 0, last, last + 1), 0);
}

/** g^T h, summed over samples and steps: g [.., rows], h [.., hidden]. */
static qn_tensor *product_over_steps(qn_tensor *g, qn_tensor *h, qn_tensor *target) {
    static const qn_matmul_attrs plain = {0};
    g = qn_reshape(g, QN_SHAPE(-1, qn_tensor_dim(g, -1)));
    h = qn_reshape(h, QN_SHAPE(-1, qn_tensor_dim(h, -1)));
    qn_tensor *in[3] = {qn_transpose(g, 0, 1), h, NULL};
    return qni_apply_to(&qni_op_matmul, in, 3, &plain, target);
}

void qni_give_recurrent_weight(qni_backward *b, int i, qn_tensor *g, qn_tensor *h, qn_tensor *start,
                               bool reverse) {
    const int64_t steps = h->view.shape[0];
    if (!b->needs[i] || !g)
        return;
    if (steps > 1) {
        qn_tensor *later = reverse ? qn_slice(g, 0, 0, steps - 1) : qn_slice(g, 0, 1, steps);
        qn_tensor *before = reverse ? qn_slice(h, 0, 1, steps) : qn_slice(h, 0, 0, steps - 1);
        qni_give(b, i, product_over_steps(later, before, qni_target(b, i)));
    }
    if (start && steps > 0) {
        const int64_t first = reverse ? steps - 1 : 0;
        qn_tensor *at_first = qn_slice(g, 0, first, first + 1);
        qni_give(b, i, product_over_steps(at_first, start, qni_target(b, i)));
    }
}
