/* fallback.c: calls for which a device has no kernel run on the host's CPU: slow, never wrong, and
 * counted (qn_context_fallbacks()), so that it is never silent. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { ALIGNMENT = 64 };

/** Elements from a view's first to its last, gaps included. */
static int64_t span_of(const qn_view *view) {
    int64_t span = 1;
    for (int axis = 0; axis < view->rank; axis++) {
        if (view->shape[axis] == 0)
            return 0;
        span += (view->shape[axis] - 1) * view->stride[axis];
    }
    return span;
}

static size_t bytes_of(const qn_view *view) {
    return view->data ? (size_t)span_of(view) * qn_dtype_size(view->dtype) : 0;
}

static size_t rounded(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/** A call on the device, and the same call on copies in host memory. */
typedef struct mirror {
    const qn_call *call;
    uint32_t mutates; /**< bits of inputs that come back changed */
    qn_view in[QN_MAX_INPUTS], out[QN_MAX_OUTPUTS];
    unsigned char *memory;
} mirror;

/** Gives each view its place in the host's block. */
static void place(mirror *m) {
    size_t offset = 0;
    for (int i = 0; i < m->call->n_in; i++) {
        m->in[i] = m->call->in[i];
        if (m->in[i].data)
            m->in[i].data = m->memory + offset;
        offset += rounded(bytes_of(&m->call->in[i]));
    }
    for (int i = 0; i < m->call->n_out; i++) {
        m->out[i] = m->call->out[i];
        m->out[i].data = m->memory + offset;
        offset += rounded(bytes_of(&m->call->out[i]));
    }
}

static size_t total_bytes(const qn_call *call) {
    size_t bytes = 0;
    for (int i = 0; i < call->n_in; i++)
        bytes += rounded(bytes_of(&call->in[i]));
    for (int i = 0; i < call->n_out; i++)
        bytes += rounded(bytes_of(&call->out[i]));
    return bytes;
}

static qn_status fetch(const qn_context *ctx, const qn_view *from, const qn_view *to,
                       char *reason) {
    size_t bytes = bytes_of(from);
    return bytes ? ctx->backend->to_host(ctx->device, to->data, from->data, bytes, reason) : QN_OK;
}

static qn_status send(const qn_context *ctx, const qn_view *from, const qn_view *to, char *reason) {
    size_t bytes = bytes_of(to);
    return bytes ? ctx->backend->to_device(ctx->device, to->data, from->data, bytes, reason)
                 : QN_OK;
}

/** Brings what the kernel reads, and outputs with gaps, whose gaps go back as they were. */
static qn_status fetch_all(const qn_context *ctx, const mirror *m, char *reason) {
    qn_status status = QN_OK;
    for (int i = 0; i < m->call->n_in && status == QN_OK; i++)
        status = fetch(ctx, &m->call->in[i], &m->in[i], reason);
    for (int i = 0; i < m->call->n_out && status == QN_OK; i++)
        if (!qn_view_is_contiguous(&m->call->out[i]))
            status = fetch(ctx, &m->call->out[i], &m->out[i], reason);
    return status;
}

static qn_status send_all(const qn_context *ctx, const mirror *m, char *reason) {
    qn_status status = QN_OK;
    for (int i = 0; i < m->call->n_in && status == QN_OK; i++)
        if (m->mutates >> i & 1u)
            status = send(ctx, &m->in[i], &m->call->in[i], reason);
    for (int i = 0; i < m->call->n_out && status == QN_OK; i++)
        status = send(ctx, &m->out[i], &m->call->out[i], reason);
    return status;
}

/** Runs a CPU kernel on a call whose views are all in host memory. */
static qn_status run_on_host(const qn_kernel *kernel, qn_call *call) {
    size_t bytes = kernel->workspace ? kernel->workspace(call) : 0;
    if (bytes && posix_memalign(&call->workspace, ALIGNMENT, bytes) != 0)
        return QN_OUT_OF_MEMORY;
    call->workspace_size = bytes;
    qn_status status = kernel->run(call);
    if (bytes)
        free(call->workspace);
    return status;
}

static qn_status run_on_copies(const qn_context *ctx, const qn_kernel *kernel, uint32_t mutates,
                               const qn_call *call) {
    mirror m = {.call = call, .mutates = mutates};
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT, total_bytes(call) + ALIGNMENT) != 0)
        return QN_OUT_OF_MEMORY;
    m.memory = memory;
    place(&m);
    qn_call copy = *call;
    copy.in = m.in;
    copy.out = m.out;
    qn_status status = fetch_all(ctx, &m, call->reason);
    if (status == QN_OK)
        status = run_on_host(kernel, &copy);
    if (status == QN_OK)
        status = send_all(ctx, &m, call->reason);
    free(memory);
    return status;
}

qn_status qni_fallback(qn_context *ctx, const qni_op *op, qn_call *call, const char *why) {
    const char *reason = NULL;
    const qn_kernel *kernel = qni_choose(ctx, ctx->host.kernels, op, call, &reason);
    if (!kernel)
        return qn_context_fail(ctx, QN_UNSUPPORTED, "%s: no kernel on %s (%s), nor on the host: %s",
                               op->name, ctx->name, why, reason);
    ctx->fallbacks++;
    if (qni_log_wants("fallback"))
        fprintf(stderr, "quern: fallback: %s on the host: %s\n", op->name, why);
    call->queue = NULL;
    qn_status status = ctx->backend->synchronize(ctx->device, call->reason);
    if (status == QN_OK)
        status = ctx->backend->host_addressable ? run_on_host(kernel, call)
                                                : run_on_copies(ctx, kernel, op->mutates, call);
    if (status == QN_OK)
        return QN_OK;
    return qn_context_fail(ctx, status, "%s: %s", op->name,
                           call->reason[0] ? call->reason : qn_status_string(status));
}

size_t qn_context_fallbacks(const qn_context *ctx) { return ctx ? ctx->fallbacks : 0; }
