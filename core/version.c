/* version.c: changes in place that a derivative would read.
 *
 * A call on the tape remembers the versions of the storages it uses; a write to what some
 * derivative reads counts its storage's version up, as long as there is a tape. The backward pass
 * compares the two before a derivative reads anything. Where they differ the list of writes tells
 * whether one fell into the tensor's own bytes, or beside them: parameters share a flat buffer. */
#include "internal.h"

/** The bytes that a view reaches, from its first element on; an empty one has none. */
static size_t reach(const qn_view *view) {
    int64_t last = 0;
    for (int axis = 0; axis < view->rank; axis++) {
        if (view->shape[axis] == 0)
            return 0;
        last += (view->shape[axis] - 1) * view->stride[axis];
    }
    return (size_t)(last + 1) * qn_dtype_size(view->dtype);
}

static size_t offset_of(const qn_tensor *x) {
    return (size_t)((const char *)x->view.data - (const char *)x->storage->data);
}

void qni_note_write(const char *what, const qn_tensor *x) {
    qni_writes *writes = &x->ctx->writes;
    if (!x->ctx->tape || !x->storage->read)
        return;
    const size_t begin = offset_of(x);
    writes->recent[writes->count++ % QNI_WRITES] =
        (qni_write){what, x->storage, ++x->storage->version, begin, begin + reach(&x->view)};
}

/** What wrote to x's bytes since its storage had this version; NULL: nothing. A write too long ago
 * to be known counts. */
static const char *writer_since(const qn_tensor *x, uint32_t version) {
    const qni_writes *writes = &x->ctx->writes;
    const uint64_t first = writes->count > QNI_WRITES ? writes->count - QNI_WRITES : 0;
    const size_t begin = offset_of(x), end = begin + reach(&x->view);
    uint32_t known = 0;
    for (uint64_t i = first; i < writes->count; i++) {
        const qni_write *write = &writes->recent[i % QNI_WRITES];
        if (write->storage != x->storage || write->version <= version)
            continue;
        if (write->begin < end && begin < write->end)
            return write->what;
        known++;
    }
    return known == x->storage->version - version ? NULL : "a write long before";
}

/** `place` is "input" or "output". */
static qn_status check(const qni_node *node, const qn_tensor *x, uint32_t version,
                       const char *place, int i) {
    if (!x || !x->storage || x->storage->version == version)
        return QN_OK;
    const char *writer = writer_since(x, version);
    if (!writer)
        return QN_OK;
    return qn_context_fail(
        x->ctx, QN_INVALID_ARGUMENT,
        "%s: its %s %d, %s %s, which the gradient needs, was changed in place by "
        "%s after the call; go back first, or change a copy",
        node->op->name, place, i, qn_dtype_string(x->view.dtype), qni_text(x).s, writer);
}

qn_status qni_check_versions(const qni_node *node) {
    const qni_op *op = node->op;
    const uint32_t unread = op->unread | op->mutates; /* it says itself what became of those */
    qn_status status = QN_OK;
    if (op->view)
        return QN_OK;
    for (int i = 0; i < node->n_in && status == QN_OK; i++)
        if (!(unread >> i & 1u))
            status = check(node, node->in[i], node->versions[i], "input", i);
    for (int i = 0; i < op->outputs && status == QN_OK; i++)
        if (!(op->unread_outputs >> i & 1u))
            status = check(node, node->out[i], node->versions[node->n_in + i], "output", i);
    return status;
}
