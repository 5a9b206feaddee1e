/* sequential.c: modules one after the other. */
#include <stdarg.h>

#include "quern.h"

static const char *const KIND = "sequential";

static qn_tensor *sequential_forward(qn_module *self, qn_tensor *input) {
    qn_module *child;
    qn_tensor *x = input;
    for (int i = 0; x && (child = qn_module_child(self, i)); i++) {
        qn_tensor *y = qn_forward(child, x);
        if (x != input && x != y)
            qn_tensor_release(x);
        x = y;
    }
    return x;
}

/* Frees the modules of a list, which ends with NULL; those that have a parent by now go with it. */
static void free_modules(va_list modules) {
    qn_module *module;
    while ((module = va_arg(modules, qn_module *)))
        qn_module_free(module);
}

qn_module *qn_nn_sequential(qn_context *ctx, ...) {
    va_list modules, again;
    va_start(modules, ctx);
    va_copy(again, modules);
    qn_module *sequential = qn_module_new(ctx, KIND, sequential_forward, NULL, NULL), *child;
    while (sequential && (child = va_arg(modules, qn_module *)))
        if (!qn_nn_append(sequential, child))
            break;
    /* A module that could not be made looks like the end of the list, but left its error. */
    if (qn_context_error(ctx, NULL) != QN_OK) {
        free_modules(again);
        qn_module_free(sequential);
        sequential = NULL;
    }
    va_end(again);
    va_end(modules);
    return sequential;
}

qn_module *qn_nn_append(qn_module *sequential, qn_module *child) {
    if (!sequential || !child) {
        qn_context_fail(qn_module_context(sequential ? sequential : child), QN_INVALID_ARGUMENT,
                        "append: %s is NULL", sequential ? "the module" : "the sequential");
        return NULL;
    }
    if (!qn_module_runs(sequential, sequential_forward)) {
        qn_context_fail(qn_module_context(sequential), QN_INVALID_ARGUMENT,
                        "append: expects a sequential, got %s", qn_module_kind(sequential));
        return NULL;
    }
    int count = 0;
    while (qn_module_child(sequential, count))
        count++;
    char name[16];
    snprintf(name, sizeof(name), "%d", count);
    return qn_module_add_child(sequential, name, child) ? sequential : NULL;
}
