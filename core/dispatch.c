/* dispatch.c: the one door to the backends.
 *
 * Every call comes through here: the operation's shape rule checks the inputs and says what comes
 * out, outputs get their memory, the device's providers are asked in order until one accepts, its
 * kernel runs, and the call is recorded on the tape. */
#include <stddef.h>
#include <string.h>

#include "internal.h"

/* ---- the call ---------------------------------------------------------------------------- */

/** Says which needed input is missing, on the context of another, if one is there. */
static void fail_missing(const qni_op *op, qn_tensor *const *in, int n_in, int missing) {
    const qn_tensor *other = NULL;
    for (int i = 0; i < n_in && !other; i++)
        other = in[i];
    if (!other)
        return;
    int length = 0;
    const char *name = op->in ? qni_operand_name(op->in, missing, &length) : "";
    qn_context_fail(other->ctx, QN_INVALID_ARGUMENT, "%s: input %d %s%.*s%sis NULL", op->name,
                    missing, length ? "(" : "", length, name, length ? ") " : "");
}

bool qni_given(const char *what, qn_tensor *const *x, int count) {
    const qn_tensor *some = NULL;
    int missing = -1;
    for (int i = count - 1; i >= 0; i--)
        if (x[i])
            some = x[i];
        else
            missing = i;
    if (missing >= 0 && some)
        qn_context_fail(some->ctx, QN_INVALID_ARGUMENT, "%s: tensor %d is NULL", what, missing);
    return missing < 0;
}

/** The context of the inputs; NULL and an error when a needed input is missing, or they are of two
 * contexts. */
static qn_context *context_of(const qni_op *op, qn_tensor *const *in, int n_in) {
    qn_context *ctx = NULL;
    for (int i = 0; i < n_in; i++) {
        if (!in[i]) {
            if (op->optional >> i & 1u)
                continue;
            fail_missing(op, in, n_in, i);
            return NULL;
        }
        if (ctx && in[i]->ctx != ctx) {
            qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: inputs belong to different contexts",
                            op->name);
            return NULL;
        }
        ctx = in[i]->ctx;
    }
    return ctx;
}

/** Stretches a view to a shape it can be broadcast to: stride 0 on the axes that repeat. */
static void broadcast_view(qn_view *view, const qn_view *to) {
    qn_view wide = *to;
    int shift = to->rank - view->rank;
    for (int axis = 0; axis < to->rank; axis++) {
        bool repeats = axis < shift || view->shape[axis - shift] != to->shape[axis];
        wide.stride[axis] = repeats ? 0 : view->stride[axis - shift];
    }
    wide.dtype = view->dtype;
    wide.data = view->data;
    *view = wide;
}

static void views_of(const qni_op *op, qn_tensor *const *in, int n_in, const qn_view *out,
                     qn_view *views) {
    for (int i = 0; i < n_in; i++) {
        if (!in[i]) {
            views[i] = (qn_view){0};
            continue;
        }
        views[i] = in[i]->view;
        if (op->elementwise)
            broadcast_view(&views[i], out);
    }
    if (op->arrange)
        op->arrange(views);
}

static void log_declined(const char *op, const char *provider, const char *reason) {
    fprintf(stderr, "quern: dispatch: %s: %s declined: %s\n", op, provider, reason);
}

static void log_served(const qni_op *op, const char *provider, const qn_call *call) {
    fprintf(stderr, "quern: dispatch: %s by %s:", op->name, provider);
    for (int i = 0; i < call->n_in; i++)
        fprintf(stderr, " %s%s", qn_shape_text(qni_shape_of(&call->in[i])).s,
                qn_view_is_contiguous(&call->in[i]) ? "" : "*");
    fputs(call->n_out ? " ->" : "\n", stderr);
    for (int i = 0; i < call->n_out; i++)
        fprintf(stderr, " %s%s", qn_shape_text(qni_shape_of(&call->out[i])).s,
                i + 1 < call->n_out ? "" : "\n");
}

const qn_kernel *qni_choose(const qn_context *ctx, const qni_kernels *kernels, const qni_op *op,
                            qn_call *call, const char **reason) {
    const qni_candidates *candidates = qni_kernels_find(kernels, op);
    *reason = "no provider has this operation";
    for (int i = 0; candidates && i < candidates->count; i++) {
        const qni_candidate *candidate = &candidates->candidate[i];
        call->state = candidate->provider->state;
        const char *declined = qni_declines(candidate, call);
        if (!declined) {
            if (ctx->log_dispatch)
                log_served(op, candidate->provider->name, call);
            return candidate->kernel;
        }
        *reason = declined;
        if (ctx->log_dispatch)
            log_declined(op->name, candidate->provider->name, declined);
    }
    return NULL;
}

static qn_status run_kernel(qn_context *ctx, const qni_op *op, qn_call *call,
                            const qn_kernel **served) {
    char reason[QN_REASON_SIZE];
    reason[0] = '\0';
    call->reason = reason;
    const char *declined = NULL;
    const qn_kernel *kernel = qni_choose(ctx, ctx->kernels, op, call, &declined);
    ctx->calls++;
    *served = kernel;
    if (!kernel && ctx->host.backend)
        return qni_fallback(ctx, op, call, declined);
    if (!kernel)
        return qn_context_fail(ctx, QN_UNSUPPORTED, "%s: no kernel on %s: %s", op->name, ctx->name,
                               declined);
    size_t workspace = kernel->workspace ? kernel->workspace(call) : 0;
    if (workspace > 0) {
        call->workspace = qni_workspace(ctx, workspace);
        call->workspace_size = workspace;
        if (!call->workspace)
            return QN_OUT_OF_MEMORY;
    }
    qn_status status = kernel->run(call);
    if (status == QN_OK)
        return QN_OK;
    return qn_context_fail(ctx, status, "%s: %s", op->name,
                           reason[0] ? reason : qn_status_string(status));
}

/** Attributes with the zeros behind them that kernels may read. */
static const void *with_room(unsigned char room[QN_ATTRS_ROOM], const void *attrs, size_t size) {
    memcpy(room, attrs, size);
    memset(room + size, 0, QN_ATTRS_ROOM - size);
    return room;
}

/** Runs the kernel of a call whose shapes have been checked and whose outputs have memory. */
static qn_status run(qn_context *ctx, const qni_op *op, qn_tensor *const *in, int n_in,
                     const void *attrs, qn_tensor *const *out) {
    qn_view in_views[QN_MAX_INPUTS], out_views[QN_MAX_OUTPUTS];
    _Alignas(max_align_t) unsigned char room[QN_ATTRS_ROOM];
    for (int i = 0; i < op->outputs; i++)
        out_views[i] = out[i]->view;
    views_of(op, in, n_in, out_views, in_views);
    qn_call call = {
        .op = op->kernel ? op->kernel : op->name,
        .n_in = n_in,
        .n_out = op->outputs,
        .in = in_views,
        .out = out_views,
        .attrs = attrs ? with_room(room, attrs, op->attrs_size) : NULL,
        .queue = ctx->backend->queue(ctx->device),
        .threads = ctx->threads,
        .precision = ctx->precision,
        .size = sizeof(qn_call),
        .attrs_size = attrs ? op->attrs_size : 0,
    };
    const qn_kernel *served;
    qn_status status = run_kernel(ctx, op, &call, &served);
    if (status != QN_OK)
        return status;
    qni_trace_call(ctx, op, served, &call, in, out);
    for (uint32_t i = 0; op->mutates >> i; i++)
        if (op->mutates >> i & 1u && in[i])
            qni_note_write(op->name, in[i]);
    return QN_OK;
}

/* ---- forms of a call --------------------------------------------------------------------- */

static qn_status infer(qn_context *ctx, const qni_op *op, qn_tensor *const *in, int n_in,
                       const void *attrs, qni_infer *call) {
    *call = (qni_infer){.ctx = ctx, .op = op, .in = in, .n_in = n_in, .attrs = attrs};
    if (n_in > op->inputs)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: %d inputs, at most %d", op->name,
                               n_in, op->inputs);
    qn_status status = QN_OK;
    for (int i = 0; i < n_in && status == QN_OK; i++)
        status = in[i] ? qni_check_elements(op->name, in[i]) : QN_OK;
    return status == QN_OK ? op->infer(call) : status;
}

static void discard(qn_tensor **out, int count) {
    while (count-- > 0) {
        qni_tensor_destroy(out[count]);
        out[count] = NULL;
    }
}

qn_status qni_apply_all(const qni_op *op, qn_tensor *const *in, int n_in, const void *attrs,
                        qn_tensor **out) {
    memset(out, 0, (size_t)op->outputs * sizeof(*out));
    qn_context *ctx = context_of(op, in, n_in);
    if (!ctx)
        return QN_INVALID_ARGUMENT;
    qni_infer call;
    qn_status status = infer(ctx, op, in, n_in, attrs, &call);
    if (status != QN_OK)
        return status;
    for (int i = 0; i < op->outputs; i++) {
        out[i] = qni_tensor_new(ctx, call.dtype[i], call.shape[i]);
        if (!out[i]) {
            discard(out, i);
            return QN_OUT_OF_MEMORY;
        }
        out[i]->maker = op->name;
    }
    status = run(ctx, op, in, n_in, attrs, out);
    if (status == QN_OK && !qni_tape_record(ctx, op, in, n_in, attrs, out))
        status = QN_OUT_OF_MEMORY;
    if (status != QN_OK)
        discard(out, op->outputs);
    return status;
}

qn_tensor *qni_apply(const qni_op *op, qn_tensor *const *in, int n_in, const void *attrs) {
    qn_tensor *out[QN_MAX_OUTPUTS];
    return qni_apply_all(op, in, n_in, attrs, out) == QN_OK ? out[0] : NULL;
}

/** Whether places of a view may share an element, so that several results would be written to one:
 * an axis repeats (qn_expand), or windows overlap (qn_unfold). Walking axes by rising stride, each
 * must step over all that those before it cover. */
static bool repeats(const qn_view *view) {
    bool seen[QN_MAX_DIMS] = {false};
    int64_t covered = 0;
    for (int round = 0; round < view->rank; round++) {
        int next = -1;
        for (int axis = 0; axis < view->rank; axis++)
            if (!seen[axis] && (next < 0 || view->stride[axis] < view->stride[next]))
                next = axis;
        seen[next] = true;
        if (view->shape[next] > 1 && view->stride[next] <= covered)
            return qn_view_count(view) > 0; /* empty ones have such strides too */
        covered += (view->shape[next] - 1) * view->stride[next];
    }
    return false;
}

qn_status qni_check_writable(const char *op, const qn_tensor *x) {
    if (!repeats(&x->view))
        return QN_OK;
    return qn_context_fail(x->ctx, QN_INVALID_ARGUMENT,
                           "%s: cannot write to %s, which repeats elements (qn_expand, qn_unfold)",
                           op, qni_text(x).s);
}

qn_tensor *qni_apply_to(const qni_op *op, qn_tensor *const *in, int n_in, const void *attrs,
                        qn_tensor *out) {
    if (!out)
        return qni_apply(op, in, n_in, attrs);
    if (qni_check_writable(op->name, out) != QN_OK)
        return NULL;
    if ((n_in > 0 && !context_of(op, in, n_in)) || qni_check_elements(op->name, out) != QN_OK)
        return NULL;
    qni_infer call;
    if (op->infer && infer(out->ctx, op, in, n_in, attrs, &call) != QN_OK)
        return NULL;
    qn_view expected = op->infer ? qni_view_of(call.dtype[0], call.shape[0]) : out->view;
    if (expected.dtype != out->view.dtype || !qn_view_same_shape(&expected, &out->view)) {
        qn_context_fail(out->ctx, QN_SHAPE_MISMATCH, "%s: result %s %s does not fit into %s %s",
                        op->name, qn_dtype_string(expected.dtype),
                        qn_shape_text(qni_shape_of(&expected)).s, qn_dtype_string(out->view.dtype),
                        qni_text(out).s);
        return NULL;
    }
    if (run(out->ctx, op, in, n_in, attrs, &out) != QN_OK)
        return NULL;
    if (!out->maker)
        out->maker = op->name;
    qni_note_write(op->name, out);
    return out;
}

qn_status qni_apply_in_place(const qni_op *op, qn_tensor *const *in, int n_in, const void *attrs) {
    qn_context *ctx = context_of(op, in, n_in);
    if (!ctx)
        return QN_INVALID_ARGUMENT;
    qni_infer call;
    qn_status status = infer(ctx, op, in, n_in, attrs, &call);
    return status == QN_OK ? run(ctx, op, in, n_in, attrs, NULL) : status;
}

qn_tensor *qni_apply_view(const qni_op *op, qn_tensor *x, const void *attrs, const qn_view *view) {
    if (!x || qni_check_elements(op->name, x) != QN_OK)
        return NULL;
    qn_tensor *y = qni_tensor_view(x, view);
    if (!y)
        return NULL;
    y->maker = op->name;
    if (!qni_tape_record(x->ctx, op, &x, 1, attrs, &y)) {
        qni_tensor_destroy(y);
        return NULL;
    }
    qni_trace_view(x->ctx, op, x, attrs, y);
    return y;
}

qn_tensor *qni_unary(const qni_op *op, qn_tensor *x, const void *attrs) {
    return qni_apply(op, &x, 1, attrs);
}

qn_tensor *qni_binary(const qni_op *op, qn_tensor *a, qn_tensor *b, const void *attrs) {
    qn_tensor *in[] = {a, b};
    return qni_apply(op, in, 2, attrs);
}
