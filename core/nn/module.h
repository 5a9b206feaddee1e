/* module.h: what the module_*.c files share. Layers do not include this: they are modules as a user
 * would write them. */
#ifndef QUERN_MODULE_H
#define QUERN_MODULE_H

#include "quern.h"

struct qn_module {
    qn_context *ctx;
    char *kind;
    qn_forward_fn forward;
    void *data;
    void (*destroy)(void *data);
    bool training;
    bool tidy; /**< qn_forward() tidies up behind it */

    qn_module *parent; /**< NULL: belongs to the context */
    char *name;        /**< in its parent */
    qn_module **children;
    int child_count, child_capacity;

    /* Every tensor below, with its dotted name from here on. Kept up to date as things are added,
     * so that names stay valid and reading needs no memory. */
    qn_named_tensor *tensors;
    bool *own;        /**< whether tensor i was added to this very module */
    double *max_norm; /**< of an own tensor's rows (module_limit.c), 0: no limit */
    int tensor_count, tensor_capacity;

    qn_tensor **trained; /**< once flat: the parameters in their order */
    int trained_count;
    qn_tensor *flat, *flat_grad;
};

/** Forgets the flat buffers of a module, of those that it is part of, and with `below` of all its
 * parts. The parameters stay where they are until they are flattened again. */
void qni_module_unflatten(qn_module *module, bool below);

/** Sets the limit of tensor i, and tells plans (module_limit.c). */
void qni_module_set_limit(qn_module *module, int i, double max_norm);

#endif
