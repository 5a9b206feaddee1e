/* attention.c: softmax(scale q k^T) v by head (Vaswani et al. 2017), and its gradient.
 *
 * There are two forms: q, k and v as three tensors, and as the parts of one, the product of one
 * projection, whose gradient then is one tensor too. Both have the same kernels: to them the parts
 * are three views. */
#include <math.h>

#include "internal.h"

/* The axis of q, k and v in the packed form [n, t, 3, heads, d]. */
enum { PART_AXIS = 2 };

/** Extents of a call. */
typedef struct extents {
    int64_t n, tq, tk, heads, d;
} extents;

/** The extents of q [n, tq, heads, d] and k [n, tk, heads, d], or of both packed. */
static extents extents_of(const qn_tensor *q, const qn_tensor *k) {
    const int64_t *shape = q->view.shape, last = q->view.rank - 1;
    return (extents){shape[0], shape[1], k->view.shape[1], shape[last - 1], shape[last]};
}

static qn_shape result_shape(extents e) { return QN_SHAPE(e.n, e.tq, e.heads, e.d); }

static qn_shape mask_shape(extents e) { return QN_SHAPE(e.n, e.heads, e.tq, e.tk); }

/** Checks what a call and its gradient have in common: the parts from `q` on, and the mask. */
static qn_status expect_parts(qni_infer *call, int q, int mask) {
    qn_status status = qni_expect_float(call, q);
    const bool packed = call->op->arrange != NULL;
    for (int i = q; i < q + 3 && status == QN_OK; i++) {
        status = qni_expect_same_dtype(call, i, q);
        if (status == QN_OK)
            status = qni_expect_rank(call, i, packed ? 5 : 4);
    }
    if (status != QN_OK)
        return status;
    const extents e = extents_of(call->in[q], call->in[q + 1]);
    const qn_shape keys =
        packed ? QN_SHAPE(e.n, e.tk, 3, e.heads, e.d) : QN_SHAPE(e.n, e.tk, e.heads, e.d);
    status = qni_expect_shape(call, q + 1, keys);
    if (status == QN_OK)
        status = qni_expect_shape(call, q + 2, keys);
    if (status == QN_OK && call->in[mask])
        status = qni_expect_dtype(call, mask, QN_U8);
    if (status == QN_OK && call->in[mask])
        status = qni_expect_shape(call, mask, mask_shape(e));
    return status;
}

static qn_status attention_infer(qni_infer *call) {
    qn_status status = expect_parts(call, QN_ATTENTION_Q, QN_ATTENTION_MASK);
    if (status == QN_OK && call->in[QN_ATTENTION_STATE])
        status = qni_expect_dtype(call, QN_ATTENTION_STATE, QN_I64);
    if (status == QN_OK && call->in[QN_ATTENTION_STATE])
        status = qni_expect_shape(call, QN_ATTENTION_STATE, QN_SHAPE(2));
    if (status != QN_OK)
        return status;
    const extents e = extents_of(call->in[QN_ATTENTION_Q], call->in[QN_ATTENTION_K]);
    call->dtype[0] = call->dtype[1] = call->in[QN_ATTENTION_Q]->view.dtype;
    call->dtype[2] = QN_I64;
    call->shape[0] = result_shape(e);
    call->shape[1] = QN_SHAPE(e.n, e.heads, e.tq);
    call->shape[2] = QN_SHAPE(2);
    return QN_OK;
}

static qn_status attention_grad_infer(qni_infer *call) {
    qn_status status = expect_parts(call, QN_ATTENTION_GRAD_Q, QN_ATTENTION_GRAD_MASK);
    if (status != QN_OK)
        return status;
    const extents e = extents_of(call->in[QN_ATTENTION_GRAD_Q], call->in[QN_ATTENTION_GRAD_K]);
    status = qni_expect_like(call, QN_ATTENTION_GRAD_G, QN_ATTENTION_GRAD_Q, result_shape(e));
    if (status == QN_OK)
        status = qni_expect_shape(call, QN_ATTENTION_GRAD_Y, result_shape(e));
    for (int i = 0; i < call->op->outputs; i++) {
        call->dtype[i] = call->in[QN_ATTENTION_GRAD_Q]->view.dtype;
        call->shape[i] = qni_shape_of(&call->in[QN_ATTENTION_GRAD_Q + i]->view);
    }
    return status;
}

/** Hands the gradients of `count` parts, or of all in one, to the inputs from 0 on. */
static void give_parts(qni_backward *b, const qni_op *op, int count) {
    if (!b->grad[0])
        return;
    qn_tensor *in[8] = {b->grad[0],
                        b->in[QN_ATTENTION_Q],
                        b->in[QN_ATTENTION_K],
                        b->in[QN_ATTENTION_V],
                        b->out[QN_ATTENTION_OUT_Y],
                        b->out[QN_ATTENTION_OUT_LSE],
                        b->in[QN_ATTENTION_MASK],
                        b->out[QN_ATTENTION_OUT_SAVED]};
    qni_give_outputs(b, op, in, 8, count);
}

/* ---- three tensors ----------------------------------------------------------------------- */

static void attention_backward(qni_backward *b) { give_parts(b, &qni_op_attention_grad, 3); }

/* Two products and a softmax. */
static double attention_operations(const qn_view *in, const qn_view *out) {
    (void)out;
    return qni_count(&in[QN_ATTENTION_Q]) * (double)in[QN_ATTENTION_K].shape[1] *
           (4 + 5 / qni_extent(&in[QN_ATTENTION_Q], 0));
}

/* The weights are not kept: the gradient computes them again from lse, the logarithm of each row's
 * sum, and draws the same dropout again from the random state before the call (output 2). */
const qni_op qni_op_attention = {
    .name = "attention",
    .in = "q k v mask state",
    .out = "y lse saved",
    .inputs = 5,
    .outputs = 3,
    .optional = 1u << QN_ATTENTION_MASK | 1u << QN_ATTENTION_STATE,
    .mutates = 1u << QN_ATTENTION_STATE,
    .attrs_size = sizeof(qn_attention_attrs),
    .fields = qni_attention_fields,
    .infer = attention_infer,
    .backward = attention_backward,
    .cost = {.of = QNI_FORMULA, .formula = attention_operations},
};

/* Five products. */
static double attention_grad_operations(const qn_view *in, const qn_view *out) {
    (void)out;
    return qni_count(&in[QN_ATTENTION_GRAD_Q]) * (double)in[QN_ATTENTION_GRAD_K].shape[1] *
           (10 + 8 / qni_extent(&in[QN_ATTENTION_GRAD_Q], 0));
}
#define ONCE "attention can be differentiated once; matmul and softmax, as often as needed"

const qni_op qni_op_attention_grad = {
    .name = "attention_grad",
    .in = "g q k v y lse mask saved",
    .out = "dq dk dv",
    .inputs = 8,
    .outputs = 3,
    .optional = 1u << QN_ATTENTION_GRAD_MASK,
    .attrs_size = sizeof(qn_attention_attrs),
    .fields = qni_attention_fields,
    .infer = attention_grad_infer,
    .cost = {.of = QNI_FORMULA, .formula = attention_grad_operations},
    .no_derivative = ONCE,
};

/* ---- one tensor -------------------------------------------------------------------------- */

static void attention_packed_backward(qni_backward *b) {
    give_parts(b, &qni_op_attention_packed_grad, 1);
}

static void arrange_parts(qn_view *in) {
    for (int part = 0; part < 3; part++)
        in[part] = qn_view_part(&in[part], PART_AXIS, part);
}

static void arrange_grad_parts(qn_view *in) { arrange_parts(in + QN_ATTENTION_GRAD_Q); }

/* The one tensor stands in all three places, and gets its gradient in the first. */
const qni_op qni_op_attention_packed = {
    .name = "attention_packed",
    .kernel = "attention",
    .in = "q k v mask state",
    .out = "y lse saved",
    .inputs = 5,
    .outputs = 3,
    .optional = 1u << QN_ATTENTION_MASK | 1u << QN_ATTENTION_STATE,
    .mutates = 1u << QN_ATTENTION_STATE,
    .attrs_size = sizeof(qn_attention_attrs),
    .fields = qni_attention_fields,
    .infer = attention_infer,
    .arrange = arrange_parts,
    .backward = attention_packed_backward,
    .cost = {.of = QNI_FORMULA, .formula = attention_operations},
};

const qni_op qni_op_attention_packed_grad = {
    .name = "attention_packed_grad",
    .kernel = "attention_grad",
    .in = "g q k v y lse mask saved",
    .out = "dqkv",
    .inputs = 8,
    .outputs = 1,
    .optional = 1u << QN_ATTENTION_GRAD_MASK,
    .attrs_size = sizeof(qn_attention_attrs),
    .fields = qni_attention_fields,
    .infer = attention_grad_infer,
    .no_derivative = ONCE,
    .arrange = arrange_grad_parts,
    .cost = {.of = QNI_FORMULA, .formula = attention_grad_operations},
};

/* ---- public ------------------------------------------------------------------------------ */

static qn_tensor *attend(const qni_op *op, qn_tensor *q, qn_tensor *k, qn_tensor *v,
                         const qn_attention_opts *opts) {
    static const qn_attention_opts defaults = {0};
    if (!opts)
        opts = &defaults;
    if (!(opts->dropout >= 0 && opts->dropout <= 1) || !(opts->scale >= 0)) {
        qn_context_fail(q->ctx, QN_INVALID_ARGUMENT,
                        "attention: needs dropout within 0 and 1 and scale >= 0, got %g and %g",
                        opts->dropout, opts->scale);
        return NULL;
    }
    const int64_t d = qn_tensor_dim(q, -1);
    qn_attention_attrs attrs = {0};
    attrs.scale = opts->scale > 0 ? opts->scale : 1 / sqrt(d > 0 ? (double)d : 1);
    attrs.dropout = opts->dropout;
    attrs.causal = opts->causal;
    qn_tensor *in[5] = {q, k, v, NULL, NULL}, *out[3];
    if (opts->mask && q->view.rank >= 4 && k->view.rank >= 4) {
        in[QN_ATTENTION_MASK] = qn_expand(opts->mask, mask_shape(extents_of(q, k)));
        if (!in[QN_ATTENTION_MASK])
            return NULL;
    }
    if (opts->dropout > 0) {
        in[QN_ATTENTION_STATE] = qni_random(q->ctx);
        if (!in[QN_ATTENTION_STATE])
            return NULL;
    }
    return qni_apply_all(op, in, 5, &attrs, out) == QN_OK ? out[0] : NULL;
}

qn_tensor *qn_attention(qn_tensor *q, qn_tensor *k, qn_tensor *v, const qn_attention_opts *opts) {
    return qni_given("attention", (qn_tensor *[]){q, k, v}, 3)
               ? attend(&qni_op_attention, q, k, v, opts)
               : NULL;
}

qn_tensor *qn_attention_packed(qn_tensor *qkv, const qn_attention_opts *opts) {
    if (!qkv)
        return NULL;
    if (qkv->view.rank != 5 || qkv->view.shape[PART_AXIS] != 3) {
        qn_context_fail(qkv->ctx, QN_SHAPE_MISMATCH,
                        "attention: q, k and v packed are [n, t, 3, heads, d], got %s",
                        qni_text(qkv).s);
        return NULL;
    }
    return attend(&qni_op_attention_packed, qkv, qkv, qkv, opts);
}
