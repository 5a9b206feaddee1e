/* conv1d_max.c: convolution along time and the greatest of its outputs, in one operation (Kim
 * 2014), and its gradients, which visit the winning windows alone.
 *
 * Inside, time comes before channels: x is [n, t, c], so that a window is one run of memory when x
 * is what an embedding gave, and the gradient comes back as rows an embedding can add up. */
#include "internal.h"

/** Number of windows for x [n, t, c] and weight [o, c, k]; -1 and an error when they do not fit. */
static int64_t window_count(qni_infer *call, qn_shape x, qn_shape w) {
    const qn_conv1d_max_attrs *attrs = call->attrs;
    if (x.dim[2] != w.dim[1]) {
        qn_context_fail(call->ctx, QN_SHAPE_MISMATCH,
                        "%s: input has %lld channels but weight expects %lld: %s x %s",
                        call->op->name, (long long)x.dim[2], (long long)w.dim[1],
                        qn_shape_text(x).s, qn_shape_text(w).s);
        return -1;
    }
    const qni_window window = {.input = x.dim[1],
                               .kernel = w.dim[2],
                               .stride = 1,
                               .padding = attrs->padding,
                               .dilation = 1};
    return qni_window_count(call, 2, &window);
}

/** Input i has the dtype of input 0, which is floating point, and this rank. */
static qn_status expect_like_first(qni_infer *call, int i, int rank) {
    qn_status status = qni_expect_float(call, 0);
    if (status == QN_OK)
        status = qni_expect_same_dtype(call, i, 0);
    return status != QN_OK ? status : qni_expect_rank(call, i, rank);
}

static qn_status conv1d_max_infer(qni_infer *call) {
    qn_status status = expect_like_first(call, 0, 3);
    if (status == QN_OK)
        status = expect_like_first(call, 1, 3);
    if (status != QN_OK)
        return status;
    const qn_shape x = qni_shape_of(&call->in[0]->view), w = qni_shape_of(&call->in[1]->view);
    if (window_count(call, x, w) < 0)
        return qn_context_error(call->ctx, NULL);
    status = qni_expect_like(call, 2, 0, QN_SHAPE(w.dim[0]));
    if (status == QN_OK)
        status = qni_expect_lengths(call, 3);
    call->dtype[0] = call->in[0]->view.dtype;
    call->dtype[1] = QN_I32;
    call->shape[0] = call->shape[1] = QN_SHAPE(x.dim[0], w.dim[0]);
    return status;
}

static int32_t padding_of(const qni_backward *b) {
    return ((const qn_conv1d_max_attrs *)b->attrs)->padding;
}

/** Gives input i the gradient with respect to x [n, t, c], through weights w. */
static void give_input(qni_backward *b, int i, qn_tensor *g, qn_tensor *w, qn_tensor *index) {
    const qn_conv1d_max_attrs attrs = {.padding = padding_of(b),
                                       .input = (int32_t)b->in[i]->view.shape[1]};
    qn_tensor *in[3] = {g, w, index};
    if (b->needs[i])
        qni_give(b, i,
                 qni_apply_to(&qni_op_conv1d_max_grad_input, in, 3, &attrs, qni_target(b, i)));
}

/** Gives input i the gradient with respect to the weight [o, c, k], through x. */
static void give_weight(qni_backward *b, int i, qn_tensor *g, qn_tensor *x, qn_tensor *index) {
    const qn_conv1d_max_attrs attrs = {.padding = padding_of(b),
                                       .kernel = (int32_t)b->in[i]->view.shape[2]};
    qn_tensor *in[3] = {g, x, index};
    if (b->needs[i])
        qni_give(b, i,
                 qni_apply_to(&qni_op_conv1d_max_grad_weight, in, 3, &attrs, qni_target(b, i)));
}

static void conv1d_max_backward(qni_backward *b) {
    qn_tensor *g = b->grad[0], *index = b->out[1];
    give_input(b, 0, g, b->in[1], index);
    give_weight(b, 1, g, b->in[0], index);
    if (b->in[2] && b->needs[2])
        qni_give(b, 2, qni_sum_to(g, qni_shape_of(&b->in[2]->view), qni_target(b, 2)));
}

/* A kernel for each step and filter. */
static double conv1d_max_operations(const qn_view *in, const qn_view *out) {
    (void)out;
    return 2 * (double)in[0].shape[0] * qni_extent(&in[0], 1) * qni_count(&in[1]);
}

const qni_op qni_op_conv1d_max = {
    .name = "conv1d_max",
    .in = "x w bias lengths",
    .out = "y index",
    .inputs = 4,
    .outputs = 2,
    .unread = 1u << 2,
    .unread_outputs = 1,
    .optional = 1u << 2 | 1u << 3,
    .attrs_size = sizeof(qn_conv1d_max_attrs),
    .fields = qni_conv1d_max_fields,
    .infer = conv1d_max_infer,
    .backward = conv1d_max_backward,
    .cost = {.of = QNI_FORMULA, .formula = conv1d_max_operations},
};

qn_tensor *qn_conv1d_max(qn_tensor *x, qn_tensor *weight, qn_tensor *bias, qn_tensor *lengths,
                         int padding) {
    if (!qni_given("conv1d_max", (qn_tensor *[]){x, weight}, 2))
        return NULL;
    if (x->view.rank != 3 || weight->view.rank != 3) {
        qn_context_fail(x->ctx, QN_SHAPE_MISMATCH,
                        "conv1d_max: expects x [n, c, t] and weight [o, c, k], got %s and %s",
                        qni_text(x).s, qni_text(weight).s);
        return NULL;
    }
    qn_conv1d_max_attrs attrs = {0};
    attrs.padding = padding;
    qn_tensor *in[4] = {qn_transpose(x, 1, 2), weight, bias, lengths}, *out[2];
    return qni_apply_all(&qni_op_conv1d_max, in, 4, &attrs, out) == QN_OK ? out[0] : NULL;
}

/** The convolution at the windows that `index` [n, o] names: x [n, t, c], w [o, c, k] -> [n, o].
 * Both gradients are linear in what this is a product of, so that it serves their derivatives. */
static qn_tensor *at_windows(qn_tensor *x, qn_tensor *w, qn_tensor *index, int32_t padding) {
    if (!x || !w)
        return NULL;
    const int64_t n = index->view.shape[0], o = index->view.shape[1];
    const int64_t c = w->view.shape[1], k = w->view.shape[2], around[3] = {0, padding, 0};
    qn_tensor *one_to_k = qn_cumsum(qn_ones(x->ctx, QN_F64, QN_SHAPE(k)), 0);
    qn_tensor *first = qn_unsqueeze(qn_cast(index, QN_F64), 2);
    qn_tensor *step = qn_cast(qn_add(first, qn_affine(one_to_k, 1, -1)), QN_I64);
    step = qn_expand(qn_reshape(step, QN_SHAPE(n, o * k, 1)), QN_SHAPE(n, o * k, c));
    qn_tensor *window = qn_gather(qn_pad(x, around, around, 0), 1, step);
    qn_tensor *product =
        qn_mul(qn_reshape(window, QN_SHAPE(n, o, k, c)), qn_permute(w, QN_AXES(0, 2, 1)));
    return qn_sum(product, QN_AXES(2, 3), false);
}

/** Inputs of both gradients: g [n, o], an operand with three axes, and index i32 [n, o]. */
static qn_status expect_grad_inputs(qni_infer *call) {
    qn_status status = expect_like_first(call, 0, 2);
    if (status == QN_OK)
        status = expect_like_first(call, 1, 3);
    if (status == QN_OK)
        status = qni_expect_dtype(call, 2, QN_I32);
    if (status == QN_OK)
        status = qni_expect_shape(call, 2, qni_shape_of(&call->in[0]->view));
    call->dtype[0] = call->in[0]->view.dtype;
    return status;
}

/* conv1d_max_grad_input: (g [n, o], w, index) -> dx [n, t, c]: each window that won takes g w. */

static qn_status conv1d_max_grad_input_infer(qni_infer *call) {
    const qn_conv1d_max_attrs *attrs = call->attrs;
    qn_status status = expect_grad_inputs(call);
    if (status != QN_OK)
        return status;
    const qn_view *g = &call->in[0]->view, *w = &call->in[1]->view;
    call->shape[0] = QN_SHAPE(g->shape[0], attrs->input, w->shape[1]);
    if (window_count(call, call->shape[0], qni_shape_of(w)) < 0)
        return qn_context_error(call->ctx, NULL);
    return qni_expect_shape(call, 0, QN_SHAPE(g->shape[0], w->shape[0]));
}

static void conv1d_max_grad_input_backward(qni_backward *b) {
    qn_tensor *g = b->in[0], *w = b->in[1], *index = b->in[2], *u = b->grad[0];
    if (b->needs[0])
        qni_give(b, 0, at_windows(u, w, index, padding_of(b)));
    give_weight(b, 1, g, u, index);
}

/* The windows that won. */
static double conv1d_max_grad_input_operations(const qn_view *in, const qn_view *out) {
    (void)out;
    return 2 * qni_count(&in[0]) * qni_count(&in[1]) / (double)in[1].shape[0];
}

const qni_op qni_op_conv1d_max_grad_input = {
    .name = "conv1d_max_grad_input",
    .in = "g w index",
    .out = "dx",
    .inputs = 3,
    .outputs = 1,
    .attrs_size = sizeof(qn_conv1d_max_attrs),
    .fields = qni_conv1d_max_fields,
    .infer = conv1d_max_grad_input_infer,
    .backward = conv1d_max_grad_input_backward,
    .cost = {.of = QNI_FORMULA, .formula = conv1d_max_grad_input_operations},
};

/* conv1d_max_grad_weight: (g [n, o], x, index) -> dw [o, c, k]: the sum of g times the windows. */

static qn_status conv1d_max_grad_weight_infer(qni_infer *call) {
    const qn_conv1d_max_attrs *attrs = call->attrs;
    qn_status status = expect_grad_inputs(call);
    if (status != QN_OK)
        return status;
    const qn_view *g = &call->in[0]->view, *x = &call->in[1]->view;
    call->shape[0] = QN_SHAPE(g->shape[1], x->shape[2], attrs->kernel);
    if (window_count(call, qni_shape_of(x), call->shape[0]) < 0)
        return qn_context_error(call->ctx, NULL);
    return qni_expect_shape(call, 0, QN_SHAPE(x->shape[0], g->shape[1]));
}

static void conv1d_max_grad_weight_backward(qni_backward *b) {
    qn_tensor *g = b->in[0], *x = b->in[1], *index = b->in[2], *v = b->grad[0];
    if (b->needs[0])
        qni_give(b, 0, at_windows(x, v, index, padding_of(b)));
    give_input(b, 1, g, v, index);
}

static double conv1d_max_grad_weight_operations(const qn_view *in, const qn_view *out) {
    return 2 * qni_count(&in[0]) * qni_count(out) / (double)out[0].shape[0];
}

const qni_op qni_op_conv1d_max_grad_weight = {
    .name = "conv1d_max_grad_weight",
    .in = "g x index",
    .out = "dw",
    .inputs = 3,
    .outputs = 1,
    .attrs_size = sizeof(qn_conv1d_max_attrs),
    .fields = qni_conv1d_max_fields,
    .infer = conv1d_max_grad_weight_infer,
    .backward = conv1d_max_grad_weight_backward,
    .cost = {.of = QNI_FORMULA, .formula = conv1d_max_grad_weight_operations},
};
