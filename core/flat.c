/* flat.c: many parameters in one buffer, and their gradients in another.
 *
 * The optimizer, the gradient's norm, clipping and zeroing are then one call over one array.
 * Parameters with a sparse gradient stay where they are. */
#include "internal.h"

enum { ALIGNMENT = 16 }; /* elements: one cache line of f32 */

static int64_t aligned(int64_t count) { return (count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static qn_status check(qn_tensor *const *parameters, int count, int64_t *total) {
    *total = 0;
    for (int i = 0; i < count; i++) {
        const qn_tensor *p = parameters[i];
        if (!p)
            return qn_context_fail(parameters[0]->ctx, QN_INVALID_ARGUMENT,
                                   "flatten_parameters: tensor %d is NULL", i);
        if (qni_check_elements("flatten_parameters", p) != QN_OK)
            return QN_INVALID_ARGUMENT;
        if (!p->leaf || p->life != QNI_KEPT || !qn_view_is_contiguous(&p->view))
            return qn_context_fail(p->ctx, QN_INVALID_ARGUMENT,
                                   "flatten_parameters: tensor %d %s is not a parameter", i,
                                   qni_text(p).s);
        if (p->ctx != parameters[0]->ctx || p->view.dtype != parameters[0]->view.dtype)
            return qn_context_fail(
                parameters[0]->ctx, QN_DTYPE_MISMATCH,
                "flatten_parameters: parameter %d is %s, the first is %s; one buffer has one dtype",
                i, qn_dtype_string(p->view.dtype), qn_dtype_string(parameters[0]->view.dtype));
        if (p->taped)
            return qn_context_fail(
                p->ctx, QN_INVALID_ARGUMENT,
                "flatten_parameters: parameter %d is in use in this step; call qn_step_end first",
                i);
        if (!p->seen)
            *total += aligned(qn_tensor_count(p));
    }
    return QN_OK;
}

static qn_tensor *buffer_new(qn_context *ctx, qn_dtype dtype, int64_t total) {
    qn_tensor *buffer = qn_zeros(ctx, dtype, QN_SHAPE(total));
    return qn_keep(buffer);
}

/** Lets x look at a place in the buffer from now on; its elements move there, if they are set. */
static qn_status move(qn_tensor *x, bool set, qn_tensor *buffer, int64_t offset) {
    char *place = (char *)buffer->view.data + (size_t)offset * qn_dtype_size(x->view.dtype);
    qn_view view = x->view;
    view.data = place;
    qn_tensor *there = qni_tensor_view(buffer, &view);
    qn_status status = !there ? QN_OUT_OF_MEMORY : set ? qn_copy(there, x) : QN_OK;
    if (there)
        qni_tensor_destroy(there);
    if (status == QN_OK)
        qni_tensor_rebase(x, buffer->storage, place);
    return status;
}

qn_status qn_flatten_parameters(qn_tensor *const *parameters, int count, qn_tensor **flat,
                                qn_tensor **flat_grad) {
    if (!parameters || count < 1 || !parameters[0])
        return QN_INVALID_ARGUMENT;
    if (!flat || !flat_grad)
        return qn_context_fail(parameters[0]->ctx, QN_INVALID_ARGUMENT,
                               "flatten_parameters: no place for the buffers");
    *flat = *flat_grad = NULL;
    int64_t total = 0;
    qn_status status = check(parameters, count, &total);
    if (status != QN_OK)
        return status;
    qn_context *ctx = parameters[0]->ctx;
    for (int i = 0; i < count; i++) /* every gradient exists before anything moves */
        if (!parameters[i]->seen && !qni_leaf_grad(parameters[i]))
            return QN_OUT_OF_MEMORY;
    qn_tensor *values = buffer_new(ctx, parameters[0]->view.dtype, total);
    qn_tensor *grads = buffer_new(ctx, parameters[0]->view.dtype, total);
    status = values && grads ? QN_OK : QN_OUT_OF_MEMORY;
    int64_t offset = 0;
    for (int i = 0; status == QN_OK && i < count; i++) {
        if (parameters[i]->seen)
            continue;
        status = move(parameters[i], true, values, offset);
        if (status == QN_OK)
            status = move(parameters[i]->grad, parameters[i]->grad_set, grads, offset);
        offset += aligned(qn_tensor_count(parameters[i]));
    }
    if (status !=
        QN_OK) { /* those that moved keep the buffers' memory alive through their storage */
        qn_tensor_free(values);
        qn_tensor_free(grads);
        return status;
    }
    *flat = values;
    *flat_grad = grads;
    return QN_OK;
}

qn_status qn_settle_gradients(qn_tensor *const *parameters, int count) {
    if (!parameters)
        return QN_INVALID_ARGUMENT;
    for (int i = 0; i < count; i++) {
        qn_tensor *p = parameters[i];
        if (!p || qni_check_elements("settle_gradients", p) != QN_OK)
            return QN_INVALID_ARGUMENT;
        if (!p->leaf)
            return qn_context_fail(p->ctx, QN_INVALID_ARGUMENT,
                                   "settle_gradients: tensor %d %s is not a parameter", i,
                                   qni_text(p).s);
        if (p->grad_set || p->seen)
            continue;
        qn_tensor *grad = qni_leaf_grad(p);
        if (!grad)
            return QN_OUT_OF_MEMORY;
        qn_status status = qn_fill(grad, 0.0);
        if (status != QN_OK)
            return status;
        p->grad_set = true;
    }
    return QN_OK;
}
