/* module_flat.c: a module's parameters in one buffer and their gradients in another, so that an
 * optimizer, a norm or a reduction over machines is one call. */
#include <stdlib.h>

#include "module.h"

static void forget_buffers(qn_module *module) {
    qn_tensor_free(module->flat);
    qn_tensor_free(module->flat_grad);
    free(module->trained);
    module->flat = module->flat_grad = NULL;
    module->trained = NULL;
    module->trained_count = 0;
}

static void forget_below(qn_module *module) {
    forget_buffers(module);
    for (int i = 0; i < module->child_count; i++)
        forget_below(module->children[i]);
}

void qni_module_unflatten(qn_module *module, bool below) {
    if (below)
        forget_below(module);
    for (; module; module = module->parent)
        forget_buffers(module);
}

/* The parameters of a module in their order, to be freed; NULL and an error if there are none. */
static qn_tensor **list_trained(const qn_module *module, int *count) {
    *count = 0;
    for (int i = 0; i < module->tensor_count; i++)
        *count += module->tensors[i].trained;
    if (*count == 0) {
        qn_context_fail(module->ctx, QN_INVALID_ARGUMENT, "%s: has no parameters to train",
                        module->kind);
        return NULL;
    }
    qn_tensor **trained = malloc((size_t)*count * sizeof(qn_tensor *));
    if (!trained) {
        qn_context_fail(module->ctx, QN_OUT_OF_MEMORY, "%s: out of memory", module->kind);
        return NULL;
    }
    for (int i = 0, at = 0; i < module->tensor_count; i++)
        if (module->tensors[i].trained)
            trained[at++] = module->tensors[i].tensor;
    return trained;
}

qn_status qn_module_flatten(qn_module *module) {
    if (!qn_object_alive(module, "module_flatten"))
        return QN_INVALID_ARGUMENT;
    if (module->flat)
        return QN_OK;
    int count;
    qn_tensor **trained = list_trained(module, &count);
    if (!trained)
        return qn_context_error(module->ctx, NULL);
    /* First: a failure may leave some parameters moved, and then no buffers are to be trusted. */
    qni_module_unflatten(module, true);
    qn_tensor *flat = NULL, *flat_grad = NULL;
    qn_status status = qn_flatten_parameters(trained, count, &flat, &flat_grad);
    if (status != QN_OK) {
        free(trained);
        return status;
    }
    module->trained = trained;
    module->trained_count = count;
    module->flat = flat;
    module->flat_grad = flat_grad;
    return QN_OK;
}

qn_tensor *qn_module_flat_parameters(qn_module *module) {
    return qn_object_alive(module, "module_flat_parameters") ? module->flat : NULL;
}

qn_tensor *qn_module_flat_gradients(qn_module *module) {
    if (!qn_object_alive(module, "module_flat_gradients") || !module->flat)
        return NULL;
    qn_status status = qn_settle_gradients(module->trained, module->trained_count);
    return status == QN_OK ? module->flat_grad : NULL;
}

void qn_module_zero_grad(qn_module *module) {
    const int tensors = qn_module_tensor_count(module);
    for (int i = 0; i < tensors; i++)
        if (module->tensors[i].trained)
            qn_zero_grad(module->tensors[i].tensor);
}
