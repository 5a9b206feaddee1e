/* module_print.c: a module as a tree, one line a module: name, kind, own
 * tensors, parameters below. */
#include "module.h"

/* "  weight [10, 784], bias [10]": the tensors that were added to this very module. */
static void print_tensors(const qn_module *module, FILE *stream) {
    const char *between = "  ";
    for (int i = 0; i < module->tensor_count; i++) {
        if (!module->own[i])
            continue;
        fprintf(stream, "%s%s %s", between, module->tensors[i].name,
                qn_shape_text(qn_tensor_shape(module->tensors[i].tensor)).s);
        between = ", ";
    }
}

static void print_tree(const qn_module *module, int depth, FILE *stream) {
    const char *name = module->parent ? module->name : "";
    fprintf(stream, "%*s%s%s%s", 2 * depth, "", name, *name ? " " : "", module->kind);
    print_tensors(module, stream);
    int64_t count = qn_module_parameter_count(module);
    if (count > 0 && module->child_count == 0)
        fprintf(stream, "  (%lld)", (long long)count);
    fputc('\n', stream);
    for (int i = 0; i < module->child_count; i++)
        print_tree(module->children[i], depth + 1, stream);
}

qn_status qn_module_print(const qn_module *module, FILE *stream) {
    if (!module || !stream)
        return qn_context_fail(qn_module_context(module), QN_INVALID_ARGUMENT,
                               "module_print: the stream is NULL");
    if (!qn_object_alive(module, "module_print"))
        return QN_INVALID_ARGUMENT;
    print_tree(module, 0, stream);
    fprintf(stream, "%lld parameters\n", (long long)qn_module_parameter_count(module));
    if (ferror(stream))
        return qn_context_fail(module->ctx, QN_IO_ERROR, "%s: cannot print", module->kind);
    return QN_OK;
}
