/* module_limit.c: parameters whose rows are held to a norm. A limit lies beside its parameter, in
 * the module that it was added to, so that it holds through whatever parent that is trained. */
#include <string.h>

#include "module.h"

/* Sets the limit of a parameter, in the module at or below this one that has it. */
void qni_module_set_limit(qn_module *module, int i, double max_norm) {
    uint64_t before, after;
    memcpy(&before, &module->max_norm[i], sizeof(before));
    memcpy(&after, &max_norm, sizeof(after));
    qn_plan_setting(module->ctx, module->tensors[i].tensor, before, after);
    module->max_norm[i] = max_norm;
}

static void set_limit(qn_module *module, const qn_tensor *parameter, double max_norm) {
    for (int i = 0; i < module->tensor_count; i++)
        if (module->own[i] && module->tensors[i].tensor == parameter)
            qni_module_set_limit(module, i, max_norm);
    for (int i = 0; i < module->child_count; i++)
        set_limit(module->children[i], parameter, max_norm);
}

qn_status qn_module_limit_norm(qn_module *module, const char *name, double max_norm) {
    if (!qn_object_alive(module, "module_limit_norm"))
        return QN_INVALID_ARGUMENT;
    qn_tensor *parameter = qn_module_find(module, name);
    if (!parameter || !qn_requires_grad(parameter))
        return qn_context_fail(module->ctx, QN_INVALID_ARGUMENT, "%s: has no parameter \"%s\"",
                               module->kind, name ? name : "");
    if (!(max_norm >= 0))
        return qn_context_fail(module->ctx, QN_INVALID_ARGUMENT,
                               "%s: the largest norm of \"%s\" must be at least 0, got %g",
                               module->kind, name, max_norm);
    set_limit(module, parameter, max_norm);
    return QN_OK;
}

qn_status qn_module_apply_limits(qn_module *module) {
    if (!qn_object_alive(module, "module_apply_limits"))
        return QN_INVALID_ARGUMENT;
    qn_status status = QN_OK;
    for (int i = 0; i < module->tensor_count && status == QN_OK; i++)
        if (module->own[i] && module->max_norm[i] > 0)
            status = qn_limit_norm(module->tensors[i].tensor, module->max_norm[i]);
    for (int i = 0; i < module->child_count && status == QN_OK; i++)
        status = qn_module_apply_limits(module->children[i]);
    return status;
}
