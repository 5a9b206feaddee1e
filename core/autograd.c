/* autograd.c: the tape, and the pass back along it.
 *
 * Calls are recorded in order, so walking the tape from its end is a topological order and needs no
 * search. A gradient lives in its tensor's `slot` while the pass needs it (`holds` counts how
 * often); what a backward rule leaves behind is freed right after the rule, so a pass needs little
 * memory. Backward rules are made of operations: with create_graph they are recorded like any other
 * call. */
#include <string.h>

#include "internal.h"

/* ---- the tape ---------------------------------------------------------------------------- */

static bool wants_grad(qn_tensor *const *in, int n_in) {
    for (int i = 0; i < n_in; i++)
        if (in[i] && in[i]->requires_grad)
            return true;
    return false;
}

static bool any_float(const qni_op *op, qn_tensor *const *out) {
    for (int i = 0; i < op->outputs; i++)
        if (qni_is_float(out[i]->view.dtype))
            return true;
    return false;
}

/** Notes whose elements the derivative of a call will read. */
static void note_read(const qni_op *op, qn_tensor *const *in, int n_in, qn_tensor *const *out) {
    for (int i = 0; i < n_in && !op->view; i++)
        if (in[i] && !(op->unread >> i & 1))
            in[i]->storage->read = true;
    for (int i = 0; i < op->outputs && !op->view; i++)
        if (!(op->unread_outputs >> i & 1))
            out[i]->storage->read = true;
}

bool qni_tape_record(qn_context *ctx, const qni_op *op, qn_tensor *const *in, int n_in,
                     const void *attrs, qn_tensor *const *out) {
    if (!ctx->grad_enabled || op->constant || !wants_grad(in, n_in) || !any_float(op, out))
        return true;
    const size_t inputs_size = (size_t)n_in * sizeof(qn_tensor *);
    const size_t versions_size = (size_t)(n_in + op->outputs) * sizeof(uint32_t);
    qni_node *node = qni_arena_take(&ctx->arena, sizeof(*node) + inputs_size + versions_size);
    void *copy = op->attrs_size ? qni_arena_take(&ctx->arena, op->attrs_size) : NULL;
    if (!node || (op->attrs_size && !copy)) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for the tape", op->name);
        return false;
    }
    if (copy)
        memcpy(copy, attrs, op->attrs_size);
    *node = (qni_node){.op = op, .previous = ctx->tape, .n_in = n_in, .attrs = copy};
    node->in = (qn_tensor **)(node + 1);
    node->versions = (uint32_t *)(node->in + n_in);
    memcpy(node->in, in, inputs_size);
    for (int i = 0; i < n_in; i++) {
        if (in[i])
            in[i]->taped = true;
        node->versions[i] = in[i] ? in[i]->storage->version : 0;
    }
    for (int i = 0; i < op->outputs; i++) {
        node->out[i] = out[i];
        node->versions[n_in + i] = out[i]->storage->version;
        out[i]->node = node;
        out[i]->output = (uint8_t)i;
        out[i]->requires_grad = qni_is_float(out[i]->view.dtype);
    }
    note_read(op, in, n_in, out);
    ctx->tape = node;
    return true;
}

void qni_tape_clear(qn_context *ctx) {
    for (qni_node *node = ctx->tape; node; node = node->previous) {
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i])
                node->in[i]->taped = false;
        for (int i = 0; i < node->op->outputs; i++) {
            node->out[i]->node = NULL;
            node->out[i]->requires_grad = node->out[i]->leaf;
        }
    }
    ctx->tape = NULL;
    ctx->writes.count = 0;
    qni_arena_reset(&ctx->arena);
}

/* ---- gradients of tensors ---------------------------------------------------------------- */

qn_tensor *qn_require_grad(qn_tensor *x) {
    if (!x || qni_check_elements("require_grad", x) != QN_OK)
        return NULL;
    if (!qni_is_float(x->view.dtype)) {
        qn_context_fail(x->ctx, QN_DTYPE_MISMATCH,
                        "require_grad: %s has no gradient, expected f32 or f64",
                        qn_dtype_string(x->view.dtype));
        return NULL;
    }
    if (x->node) {
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT,
                        "require_grad: this tensor is the result of %s; only leaves can be asked",
                        x->node->op->name);
        return NULL;
    }
    if (!x->leaf && x->storage->pins > 0)
        x->ctx->structure++; /* plans were recorded without its gradient */
    x->leaf = x->requires_grad = true;
    return x;
}

bool qn_requires_grad(const qn_tensor *x) { return x && x->requires_grad; }

qn_tensor *qn_grad(qn_tensor *x) {
    if (!x || !qni_alive("grad", x) || !x->leaf || !x->grad_set ||
        (x->seen && !qni_sparse_settle(x)))
        return NULL;
    return x->grad;
}

void qn_zero_grad(qn_tensor *x) {
    if (x && qni_alive("zero_grad", x))
        x->grad_set = false;
}

bool qn_context_set_grad(qn_context *ctx, bool enabled) {
    if (!ctx)
        return false;
    bool before = ctx->grad_enabled;
    ctx->grad_enabled = enabled;
    return before;
}

qn_tensor *qni_leaf_grad(qn_tensor *leaf) {
    if (!leaf->grad) {
        qn_tensor *grad = qni_tensor_new(leaf->ctx, leaf->view.dtype, qni_shape_of(&leaf->view));
        if (grad && !qn_keep(grad)) {
            qni_tensor_destroy(grad);
            return NULL;
        }
        leaf->grad = grad;
        if (grad)
            grad->leaf_of = leaf;
    }
    return leaf->grad;
}

/* ---- handing gradients back -------------------------------------------------------------- */

static void release(qn_tensor **slot) {
    if (*slot)
        (*slot)->holds--;
    *slot = NULL;
}

static void hold(qn_tensor **slot, qn_tensor *grad) {
    *slot = grad;
    grad->holds++;
}

qn_tensor *qni_target(qni_backward *b, int i) {
    qn_tensor *leaf = b->in[i];
    if (b->functional || !leaf->leaf || leaf->grad_set)
        return NULL;
    return qni_leaf_grad(leaf);
}

static void add_to_leaf(qn_tensor *leaf, qn_tensor *grad) {
    qn_tensor *sum = qni_leaf_grad(leaf);
    if (!sum || (leaf->seen && !qni_sparse_cover(leaf)))
        return;
    if (!leaf->grad_set) {
        if (grad == sum || qn_copy(sum, grad) == QN_OK)
            leaf->grad_set = true;
        return;
    }
    qn_tensor *both[] = {sum, grad};
    qni_apply_to(&qni_op_add, both, 2, NULL, sum);
}

/** Whether a gradient can be added to where it lies: nobody else sees its memory. */
static bool is_private(const qn_tensor *grad) {
    return grad->holds == 1 && grad->storage->references == 1 && grad->life != QNI_KEPT &&
           !grad->node && qn_view_is_contiguous(&grad->view);
}

/** The axes by falling strides, and in `back` the places where they came from. False when elements
 * taken in that order leave gaps or repeat. */
static bool order_of_memory(const qn_view *view, qn_axes *order, qn_axes *back) {
    *order = (qn_axes){.count = view->rank, .axis = {0}};
    *back = *order;
    for (int i = 0; i < view->rank; i++) {
        int at = i;
        for (; at > 0 && view->stride[order->axis[at - 1]] < view->stride[i]; at--)
            order->axis[at] = order->axis[at - 1];
        order->axis[at] = i;
    }
    qn_view ordered = *view;
    for (int i = 0; i < view->rank; i++) {
        ordered.shape[i] = view->shape[order->axis[i]];
        ordered.stride[i] = view->stride[order->axis[i]];
        back->axis[order->axis[i]] = i;
    }
    return qn_view_is_contiguous(&ordered);
}

/** The sum of two gradients, laid out as the first: those of a transposed tensor are transposed,
 * and what made the tensor gets one that is as it was. */
static qn_tensor *add_as_laid_out(qn_tensor *first, qn_tensor *second) {
    qn_axes order, back;
    if (qn_view_is_contiguous(&first->view) || !order_of_memory(&first->view, &order, &back))
        return qni_binary(&qni_op_add, first, second, NULL);
    return qn_permute(
        qni_binary(&qni_op_add, qn_permute(first, order), qn_permute(second, order), NULL), back);
}

static void add_to_slot(qni_backward *b, qn_tensor **slot, qn_tensor *grad) {
    if (!*slot) {
        hold(slot, grad);
        return;
    }
    qn_tensor *both[] = {*slot, grad};
    qn_tensor *sum = !b->create_graph && is_private(*slot)
                         ? qni_apply_to(&qni_op_add, both, 2, NULL, *slot)
                         : add_as_laid_out(*slot, grad);
    if (!sum || sum == *slot)
        return;
    release(slot);
    hold(slot, sum);
}

void qni_give(qni_backward *b, int i, qn_tensor *grad) {
    qn_tensor *x = b->in[i];
    if (!grad || !b->needs[i])
        return;
    if (!qn_view_same_shape(&grad->view, &x->view))
        grad = qni_sum_to(grad, qni_shape_of(&x->view), qni_target(b, i));
    if (!grad)
        return;
    if (x->leaf && !b->functional)
        add_to_leaf(x, grad);
    else
        add_to_slot(b, &x->slot, grad);
}

void qni_give_outputs(qni_backward *b, const qni_op *op, qn_tensor *const *in, int n_in,
                      int count) {
    qn_tensor *out[QN_MAX_OUTPUTS];
    if (qni_apply_all(op, in, n_in, b->attrs, out) != QN_OK)
        return;
    for (int i = 0; i < count; i++)
        qni_give(b, i, out[i]);
}

/* ---- the pass ---------------------------------------------------------------------------- */

/** Frees the step's tensors from position `mark` on that no gradient slot holds. */
static void sweep(qn_context *ctx, int mark) {
    for (int i = ctx->step.count - 1; i >= mark; i--)
        if (ctx->step.items[i]->holds == 0)
            qni_tensor_destroy(ctx->step.items[i]);
}

static void reach_inputs(const qni_backward *b) {
    for (int i = 0; i < b->n_in; i++)
        if (b->needs[i] && b->in[i]->node)
            b->in[i]->node->reached = true;
}

static void pass_node(qn_context *ctx, qni_node *node, qni_backward *b) {
    b->ctx = ctx;
    b->op = node->op;
    b->in = node->in;
    b->out = node->out;
    b->n_in = node->n_in;
    b->attrs = node->attrs;
    bool any = false;
    for (int i = 0; i < node->op->outputs; i++) {
        b->grad[i] = node->out[i]->slot;
        any = any || b->grad[i];
    }
    for (int i = 0; i < node->n_in; i++) {
        qn_tensor *x = node->in[i];
        b->needs[i] = x && x->requires_grad && (x->node || !b->functional || x->wanted);
    }
    if (any && !node->op->backward)
        qn_context_fail(ctx, QN_NOT_DIFFERENTIABLE, "%s: has no derivative: %s", node->op->name,
                        node->op->no_derivative ? node->op->no_derivative : "none is known");
    else if (any && qni_check_versions(node) == QN_OK)
        node->op->backward(b);
    reach_inputs(b);
    for (int i = 0; i < node->op->outputs; i++)
        if (!node->out[i]->wanted)
            release(&node->out[i]->slot);
}

/** What a pass that is the last one has no more use of: all calls that read a node's outputs came
 * before it. */
static void drop_outputs(const qni_node *node) {
    for (int i = 0; i < node->op->outputs; i++)
        if (node->out[i]->life == QNI_TAPE)
            qni_drop_elements(node->out[i]);
}

/** What a pass is for. */
typedef struct pass_kind {
    bool functional;   /**< gradients of some inputs; else they are added to the leaves' */
    bool create_graph; /**< which can be differentiated again */
    bool last;         /**< nobody walks this tape again */
} pass_kind;

/** Walks the tape back from the loss, whose gradient is `seed`. */
static qn_status pass(qn_tensor *loss, qn_tensor *seed, pass_kind kind) {
    qn_context *ctx = loss->ctx;
    bool recording = qn_context_set_grad(ctx, kind.create_graph);
    int mark = ctx->step.count;
    qni_backward b = {.functional = kind.functional, .create_graph = kind.create_graph};
    qni_node *last = loss->node;
    hold(&loss->slot, seed);
    last->reached = true;
    for (qni_node *node = last; node; node = node->previous) {
        if (!node->reached)
            continue;
        node->reached = false;
        if (ctx->status != QN_OK)
            for (int i = 0; i < node->op->outputs; i++)
                release(&node->out[i]->slot);
        else
            pass_node(ctx, node, &b);
        if (kind.last)
            drop_outputs(node);
        if (!kind.create_graph)
            sweep(ctx, mark);
    }
    qn_context_set_grad(ctx, recording);
    return ctx->status;
}

static qn_status check_loss(const char *what, const qn_tensor *loss) {
    if (!loss || !qni_alive(what, loss))
        return QN_INVALID_ARGUMENT;
    if (loss->ctx->status != QN_OK)
        return loss->ctx->status;
    if (qn_tensor_count(loss) != 1)
        return qn_context_fail(loss->ctx, QN_SHAPE_MISMATCH,
                               "%s: the loss has shape %s, expected one element", what,
                               qni_text(loss).s);
    if (!loss->node)
        return qn_context_fail(loss->ctx, QN_INVALID_ARGUMENT,
                               "%s: the loss depends on nothing that requires a gradient", what);
    return QN_OK;
}

static qn_status pass_to_leaves(qn_tensor *loss, pass_kind kind) {
    qn_status status = check_loss("backward", loss);
    if (status != QN_OK)
        return status;
    qn_tensor *seed = qn_ones(loss->ctx, loss->view.dtype, qni_shape_of(&loss->view));
    return seed ? pass(loss, seed, kind) : loss->ctx->status;
}

qn_status qn_backward(qn_tensor *loss) { return pass_to_leaves(loss, (pass_kind){0}); }

qn_status qn_backward_once(qn_tensor *loss) {
    return pass_to_leaves(loss, (pass_kind){.last = true});
}

/** Takes the gradient that the pass left on an input, zeros if none arrived. With create_graph it
 * is a function of the input in any case, if need be one whose derivative is zero. */
static qn_tensor *collect(qn_tensor *input, bool create_graph) {
    qn_tensor *grad = input->slot;
    input->slot = NULL;
    if (grad)
        grad->holds--;
    else
        grad = qn_zeros(input->ctx, input->view.dtype, qni_shape_of(&input->view));
    return create_graph && grad && !grad->requires_grad ? qni_unrelated(grad, input) : grad;
}

qn_status qn_gradients(qn_tensor *loss, qn_tensor *const *inputs, int count, qn_tensor **grads,
                       bool create_graph) {
    enum { MOST_INPUTS = 64 };
    qn_status status = check_loss("gradients", loss);
    if (status != QN_OK)
        return status;
    if (!inputs || !grads)
        return qn_context_fail(loss->ctx, QN_INVALID_ARGUMENT,
                               "gradients: needs inputs and a place for their gradients");
    if (count < 1 || count > MOST_INPUTS)
        return qn_context_fail(loss->ctx, QN_INVALID_ARGUMENT,
                               "gradients: %d inputs, expected 1 to %d", count, MOST_INPUTS);
    for (int i = 0; i < count; i++)
        if (!inputs[i] || inputs[i]->life == QNI_DEAD || !inputs[i]->requires_grad ||
            inputs[i]->wanted || inputs[i] == loss)
            status = QN_INVALID_ARGUMENT;
        else
            inputs[i]->wanted = true;
    qn_tensor *seed =
        status == QN_OK ? qn_ones(loss->ctx, loss->view.dtype, qni_shape_of(&loss->view)) : NULL;
    if (seed)
        status = pass(loss, seed, (pass_kind){.functional = true, .create_graph = create_graph});
    for (int i = 0; i < count; i++) {
        grads[i] = seed ? collect(inputs[i], create_graph) : NULL;
        if (inputs[i])
            inputs[i]->wanted = false;
    }
    if (status == QN_INVALID_ARGUMENT)
        qn_context_fail(
            loss->ctx, status,
            "gradients: each input must require a gradient, be given once, and not be the loss");
    return seed ? status : loss->ctx->status;
}
