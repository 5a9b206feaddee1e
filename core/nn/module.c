/* module.c: the tree of modules: their life, their tensors and names, forward. */
#include <stdlib.h>
#include <string.h>

#include "module.h"

/* ---- life -------------------------------------------------------------------------------- */

/* Frees a tree from its leaves. Called by the context, or once it no longer knows the module. */
static void module_destroy(void *object) {
    qn_module *module = object;
    qn_module_train(module, true); /* as the next module at this address will start */
    qn_plan_setting(module->ctx, &module->child_count, (uint64_t)module->child_count, 0);
    for (int i = module->child_count - 1; i >= 0; i--)
        qn_object_free(module->children[i], "module_free");
    for (int i = 0; i < module->tensor_count; i++) {
        qni_module_set_limit(module, i, 0);
        if (module->own[i]) {
            qn_tensor_claim(module->tensors[i].tensor, NULL);
            qn_tensor_free(module->tensors[i].tensor);
        }
        free((char *)module->tensors[i].name);
    }
    qn_tensor_free(module->flat);
    qn_tensor_free(module->flat_grad);
    if (module->destroy)
        module->destroy(module->data);
    free(module->trained);
    free(module->own);
    free(module->max_norm);
    free(module->tensors);
    free(module->children);
    free(module->name);
    free(module->kind);
}

qn_module *qn_module_new(qn_context *ctx, const char *kind, qn_forward_fn forward, void *data,
                         void (*destroy)(void *data)) {
    char *kind_copy = ctx && kind && forward ? strdup(kind) : NULL;
    qn_module *module =
        kind_copy ? qn_object_new(ctx, "module", sizeof(*module), module_destroy) : NULL;
    if (!module) {
        if (ctx && !(kind && forward))
            qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                            "module: needs a kind and a forward function");
        else
            qn_context_fail(ctx, QN_OUT_OF_MEMORY, "module: out of memory");
        free(kind_copy);
        if (destroy)
            destroy(data);
        return NULL;
    }
    *module = (qn_module){.ctx = ctx,
                          .kind = kind_copy,
                          .forward = forward,
                          .data = data,
                          .destroy = destroy,
                          .training = true};
    return module;
}

void qn_module_free(qn_module *module) {
    if (qn_object_alive(module, "module_free") && !module->parent)
        qn_object_free(module, "module_free");
}

void *qn_module_data(const qn_module *module) {
    return qn_object_alive(module, "module_data") ? module->data : NULL;
}

const char *qn_module_kind(const qn_module *module) {
    return qn_object_alive(module, "module_kind") ? module->kind : NULL;
}

bool qn_module_runs(const qn_module *module, qn_forward_fn forward) {
    return qn_object_alive(module, "module_runs") && module->forward == forward;
}

qn_context *qn_module_context(const qn_module *module) {
    return qn_object_alive(module, "module") ? module->ctx : NULL;
}

/* ---- tensors and names ------------------------------------------------------------------- */

static qn_status out_of_memory(const qn_module *module) {
    return qn_context_fail(module->ctx, QN_OUT_OF_MEMORY, "%s: out of memory", module->kind);
}

/* Makes room for one more tensor. */
static bool reserve_tensor(qn_module *module) {
    if (module->tensor_count < module->tensor_capacity)
        return true;
    int capacity = module->tensor_capacity ? 2 * module->tensor_capacity : 4;
    qn_named_tensor *tensors =
        realloc(module->tensors, (size_t)capacity * sizeof(*module->tensors));
    if (tensors)
        module->tensors = tensors;
    bool *own = tensors ? realloc(module->own, (size_t)capacity * sizeof(*module->own)) : NULL;
    if (own)
        module->own = own;
    double *max_norm =
        own ? realloc(module->max_norm, (size_t)capacity * sizeof(*module->max_norm)) : NULL;
    if (!max_norm)
        return false;
    module->max_norm = max_norm;
    module->tensor_capacity = capacity;
    return true;
}

/* "name.rest", to be freed. */
static char *join_names(const char *name, const char *rest) {
    size_t bytes = strlen(name) + strlen(rest) + 2;
    char *joined = malloc(bytes);
    if (joined)
        snprintf(joined, bytes, "%s.%s", name, rest);
    return joined;
}

/* Takes the last `count` tensors off the lists of a module and of those it is part of. */
static void withdraw(qn_module *module, int count) {
    for (; module; module = module->parent)
        for (int i = 0; i < count; i++)
            free((char *)module->tensors[--module->tensor_count].name);
}

/* Lists a tensor in a module, and with longer names in those it is part of: in all or in none. */
static bool publish(qn_module *module, qn_named_tensor tensor, bool own) {
    char *name = strdup(tensor.name);
    if (!name || !reserve_tensor(module)) {
        free(name);
        return false;
    }
    module->own[module->tensor_count] = own;
    module->max_norm[module->tensor_count] = 0;
    module->tensors[module->tensor_count++] =
        (qn_named_tensor){.name = name, .tensor = tensor.tensor, .trained = tensor.trained};
    if (!module->parent)
        return true;
    char *path = join_names(module->name, tensor.name);
    qn_named_tensor outer = {.name = path, .tensor = tensor.tensor, .trained = tensor.trained};
    bool done = path && publish(module->parent, outer, false);
    free(path);
    if (!done)
        free((char *)module->tensors[--module->tensor_count].name);
    return done;
}

/* Whether a name is there and free; records an error if not. */
static bool name_is_free(const qn_module *module, const char *name) {
    if (!name || !*name) {
        qn_context_fail(module->ctx, QN_INVALID_ARGUMENT, "%s: a part needs a name", module->kind);
        return false;
    }
    bool taken = qn_module_find(module, name) != NULL;
    for (int i = 0; i < module->child_count && !taken; i++)
        taken = strcmp(module->children[i]->name, name) == 0;
    if (taken)
        qn_context_fail(module->ctx, QN_INVALID_ARGUMENT, "%s: has a part named \"%s\" already",
                        module->kind, name);
    return !taken;
}

static qn_tensor *add_tensor(qn_module *module, const char *name, qn_tensor *tensor, bool trained) {
    if (!module || !tensor)
        qn_context_fail(module ? qn_module_context(module) : qn_tensor_context(tensor),
                        QN_INVALID_ARGUMENT, "module: %s is NULL",
                        module ? "the tensor to add" : "what to add to");
    if (!tensor || !qn_object_alive(module, "module"))
        return NULL;
    if (!name_is_free(module, name))
        return NULL;
    if (qn_tensor_context(tensor) != module->ctx) {
        qn_context_fail(module->ctx, QN_INVALID_ARGUMENT, "%s: \"%s\" belongs to another context",
                        module->kind, name);
        return NULL;
    }
    if (!qn_keep(tensor) || (trained && !qn_require_grad(tensor)) ||
        qn_tensor_claim(tensor, module) != QN_OK)
        return NULL;
    if (!publish(module, (qn_named_tensor){.name = name, .tensor = tensor, .trained = trained},
                 true)) {
        qn_tensor_claim(tensor, NULL);
        out_of_memory(module);
        return NULL;
    }
    if (trained)
        qni_module_unflatten(module, false);
    return tensor;
}

qn_tensor *qn_module_add_parameter(qn_module *module, const char *name, qn_tensor *parameter) {
    return add_tensor(module, name, parameter, true);
}

qn_tensor *qn_module_add_buffer(qn_module *module, const char *name, qn_tensor *buffer) {
    return add_tensor(module, name, buffer, false);
}

int qn_module_tensor_count(const qn_module *module) {
    return qn_object_alive(module, "module_tensor_count") ? module->tensor_count : 0;
}

qn_named_tensor qn_module_tensor(const qn_module *module, int index) {
    if (index < 0 || index >= qn_module_tensor_count(module))
        return (qn_named_tensor){0};
    return module->tensors[index];
}

qn_tensor *qn_module_find(const qn_module *module, const char *name) {
    const bool alive = qn_object_alive(module, "module_find");
    for (int i = 0; alive && name && i < module->tensor_count; i++)
        if (strcmp(module->tensors[i].name, name) == 0)
            return module->tensors[i].tensor;
    return NULL;
}

int64_t qn_module_parameter_count(const qn_module *module) {
    const int tensors = qn_module_tensor_count(module);
    int64_t count = 0;
    for (int i = 0; i < tensors; i++)
        if (module->tensors[i].trained)
            count += qn_tensor_count(module->tensors[i].tensor);
    return count;
}

/* ---- children ---------------------------------------------------------------------------- */

/* Whether a child may be added: it is free, of the same context, and not
 * the module or around it. */
static bool child_fits(const qn_module *module, const qn_module *child) {
    const char *why = NULL;
    if (child->parent)
        why = "has a parent already";
    else if (child->ctx != module->ctx)
        why = "belongs to another context";
    for (const qn_module *m = module; m && !why; m = m->parent)
        if (m == child)
            why = "would be part of itself";
    if (why)
        qn_context_fail(module->ctx, QN_INVALID_ARGUMENT, "%s: child %s %s", module->kind,
                        child->kind, why);
    return !why;
}

static bool reserve_child(qn_module *module) {
    if (module->child_count < module->child_capacity)
        return true;
    int capacity = module->child_capacity ? 2 * module->child_capacity : 4;
    qn_module **children = realloc(module->children, (size_t)capacity * sizeof(*children));
    if (!children)
        return false;
    module->children = children;
    module->child_capacity = capacity;
    return true;
}

/* Lists all tensors of a child in its new parent: all or none. */
static bool publish_child(qn_module *module, const qn_module *child, const char *name) {
    for (int i = 0; i < child->tensor_count; i++) {
        qn_named_tensor tensor = child->tensors[i];
        char *path = join_names(name, tensor.name);
        tensor.name = path;
        bool done = path && publish(module, tensor, false);
        free(path);
        if (!done) {
            withdraw(module, i);
            return false;
        }
    }
    return true;
}

qn_module *qn_module_add_child(qn_module *module, const char *name, qn_module *child) {
    if (!module || !child)
        qn_context_fail(qn_module_context(module ? module : child), QN_INVALID_ARGUMENT,
                        "module: %s is NULL", module ? "the child to add" : "what to add to");
    if (!qn_object_alive(module, "module_add_child") || !qn_object_alive(child, "module_add_child"))
        return NULL;
    if (!child_fits(module, child) || !name_is_free(module, name))
        return NULL;
    char *name_copy = strdup(name);
    if (!name_copy || !reserve_child(module) || !publish_child(module, child, name)) {
        free(name_copy);
        out_of_memory(module);
        return NULL;
    }
    child->name = name_copy;
    child->parent = module;
    const uint64_t count = (uint64_t)module->child_count;
    qn_plan_setting(module->ctx, &module->child_count, count, count + 1);
    module->children[module->child_count++] = child;
    qn_object_release(child);
    if (qn_module_parameter_count(child) > 0)
        qni_module_unflatten(module, false);
    return child;
}

qn_module *qn_module_child(const qn_module *module, int index) {
    const bool alive = qn_object_alive(module, "module_child");
    return alive && index >= 0 && index < module->child_count ? module->children[index] : NULL;
}

/* ---- use --------------------------------------------------------------------------------- */

qn_module *qn_module_tidy(qn_module *module) {
    if (qn_object_alive(module, "module_tidy"))
        module->tidy = true;
    return module;
}

/* Writes "net.3." for a module that is child 3 of child net; gives the number of bytes. */
static size_t write_path(const qn_module *module, char *text, size_t size) {
    if (!module->parent)
        return 0;
    const size_t used = write_path(module->parent, text, size);
    const int more = used < size ? snprintf(text + used, size - used, "%s.", module->name) : 0;
    return used + (size_t)(more > 0 ? more : 0);
}

static void describe(const void *object, char *text, size_t size) {
    const qn_module *module = object;
    const size_t used = write_path(module, text, size);
    if (used < size)
        snprintf(text + used, size - used, "%s", module->kind);
}

/* What a forward function gave, which may be anybody's: NULL and an error unless it is a tensor of
 * the module's context. */
static qn_tensor *check_result(const qn_module *module, qn_tensor *y) {
    if (y && qn_tensor_context(y) == module->ctx)
        return y;
    if (qn_context_error(module->ctx, NULL) == QN_OK)
        qn_context_fail(module->ctx, QN_INVALID_ARGUMENT, "forward: it gave %s",
                        y ? "a tensor of another context" : "no tensor");
    return NULL;
}

qn_tensor *qn_forward(qn_module *module, qn_tensor *x) {
    if (!module || !x)
        qn_context_fail(module ? qn_module_context(module) : qn_tensor_context(x),
                        QN_INVALID_ARGUMENT, "forward: %s is NULL", module ? "x" : "the module");
    if (!x || !qn_object_alive(module, "forward"))
        return NULL;
    const qn_place place = {describe, module};
    const qn_place *outer = qn_context_set_place(module->ctx, &place);
    const int begin = qn_tidy_begin(module->ctx);
    qn_tensor *y = check_result(module, module->forward(module, x));
    qn_context_set_place(module->ctx, outer);
    if (module->tidy)
        qn_tidy_end(module->ctx, begin, &y, 1);
    return y;
}

void qn_module_train(qn_module *module, bool training) {
    if (!qn_object_alive(module, "module_train"))
        return;
    qn_plan_setting(module->ctx, &module->training, !module->training, !training);
    module->training = training;
    for (int i = 0; i < module->child_count; i++)
        qn_module_train(module->children[i], training);
}

bool qn_module_is_training(const qn_module *module) {
    return qn_object_alive(module, "module_is_training") && module->training;
}
