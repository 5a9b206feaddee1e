/* optimizer.c: an optimizer over the flat buffers of a module: one call a step, whatever the number
 * of parameters. */
#include <math.h>
#include <stdlib.h>

#include "optimizer_spec.h"

enum { MAX_STATE = 2 };

struct qn_optimizer {
    qn_context *ctx;
    qn_module *module;
    qn_optimizer_spec spec;
    double lr;     /* of the next step */
    int64_t steps; /* taken */
    int64_t count; /* elements of the flat buffers that the state belongs to */
    qn_tensor *hyper;
    qn_named_tensor state[MAX_STATE];
    int state_count;
};

/* Called by the context, or once it no longer knows the optimizer. */
static void optimizer_destroy(void *object) {
    qn_optimizer *optimizer = object;
    for (int i = 0; i < optimizer->state_count; i++)
        qn_tensor_free(optimizer->state[i].tensor);
    qn_tensor_free(optimizer->hyper);
    free(optimizer);
}

/* The names of an optimizer's own tensors, in the order in which its step takes them. */
static int state_names(const qn_optimizer_spec *spec, const char *names[MAX_STATE]) {
    int count = 0;
    switch (spec->kind) {
    case QN_OPT_SGD:
        break;
    case QN_OPT_ADAM:
        names[count++] = "exp_avg";
        names[count++] = "exp_avg_sq";
        break;
    case QN_OPT_RMSPROP:
        names[count++] = "square_avg";
        break;
    case QN_OPT_ADADELTA:
        names[count++] = "square_avg";
        names[count++] = "acc_delta";
        break;
    }
    const bool has_momentum = spec->kind == QN_OPT_SGD || spec->kind == QN_OPT_RMSPROP;
    if (has_momentum && spec->momentum > 0)
        names[count++] = "momentum";
    return count;
}

/* Makes the tensors of an optimizer, all zeros. */
static bool make_state(qn_optimizer *optimizer, const qn_tensor *flat) {
    const char *names[MAX_STATE];
    const int count = state_names(&optimizer->spec, names);
    for (int i = 0; i < count; i++) {
        qn_tensor *tensor =
            qn_keep(qn_zeros(optimizer->ctx, qn_tensor_dtype(flat), qn_tensor_shape(flat)));
        if (!tensor)
            return false;
        optimizer->state[optimizer->state_count++] =
            (qn_named_tensor){.name = names[i], .tensor = tensor};
    }
    optimizer->hyper = qn_keep(qn_zeros(optimizer->ctx, QN_F32, QN_SHAPE(QN_HYPER_COUNT)));
    return optimizer->hyper != NULL;
}

qn_optimizer *qn_optimizer_new(qn_module *module, qn_optimizer_spec spec) {
    qn_context *ctx = qn_module_context(module);
    if (!module || qni_optimizer_check(ctx, &spec) != QN_OK || qn_module_flatten(module) != QN_OK)
        return NULL;
    const qn_tensor *flat = qn_module_flat_parameters(module);
    qn_optimizer *optimizer = calloc(1, sizeof(*optimizer));
    if (!optimizer) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory", qni_optimizer_name(spec.kind));
        return NULL;
    }
    optimizer->ctx = ctx;
    optimizer->module = module;
    optimizer->spec = spec;
    optimizer->lr = spec.lr;
    optimizer->count = qn_tensor_count(flat);
    if (!make_state(optimizer, flat)) {
        optimizer_destroy(optimizer);
        return NULL;
    }
    return qn_context_own(ctx, optimizer, optimizer_destroy) == QN_OK ? optimizer : NULL;
}

void qn_optimizer_free(qn_optimizer *optimizer) {
    if (!optimizer)
        return;
    qn_context_disown(optimizer->ctx, optimizer);
    optimizer_destroy(optimizer);
}

/* ---- a step ------------------------------------------------------------------------------ */

/* Writes rate and step number, and the clipping factor, which only clip_norm moves away from 1. */
static qn_status write_hyper(qn_optimizer *optimizer, qn_tensor *grad) {
    const float hyper[QN_HYPER_COUNT] = {[QN_HYPER_LR] = (float)optimizer->lr,
                                         [QN_HYPER_STEP] = (float)(optimizer->steps + 1),
                                         [QN_HYPER_CLIP] = 1};
    qn_status status = qn_tensor_write(optimizer->hyper, hyper, sizeof(hyper));
    const double max_norm = optimizer->spec.clip_norm;
    if (status != QN_OK || !(max_norm > 0))
        return status;
    qn_tensor *square_sum = qn_square_sum(grad);
    if (!square_sum)
        return qn_context_error(optimizer->ctx, NULL);
    status = qn_clip_factor(square_sum, optimizer->hyper, max_norm);
    qn_tensor_free(square_sum);
    return status;
}

static qn_status move_parameters(qn_optimizer *optimizer, qn_tensor *p, qn_tensor *grad) {
    const qn_optimizer_spec *spec = &optimizer->spec;
    qn_tensor *hyper = optimizer->hyper;
    qn_tensor *first = optimizer->state[0].tensor, *second = optimizer->state[1].tensor;
    switch (spec->kind) {
    case QN_OPT_ADAM:
        return qn_adam_step(p, grad, first, second, hyper, spec);
    case QN_OPT_RMSPROP:
        return qn_rmsprop_step(p, grad, first, second, hyper, spec);
    case QN_OPT_ADADELTA:
        return qn_adadelta_step(p, grad, first, second, hyper, spec);
    default:
        return qn_sgd_step(p, grad, first, hyper, spec);
    }
}

qn_status qn_optimizer_step(qn_optimizer *optimizer) {
    if (!optimizer)
        return QN_INVALID_ARGUMENT;
    /* After a failure the gradients may be half of the truth. */
    qn_status status = qn_context_error(optimizer->ctx, NULL);
    if (status != QN_OK)
        return status;
    qn_tensor *p = qn_module_flat_parameters(optimizer->module);
    if (qn_tensor_count(p) != optimizer->count)
        return qn_context_fail(optimizer->ctx, QN_INVALID_ARGUMENT,
                               "%s: the parameters of %s have changed or were flattened with "
                               "another module; make a new optimizer",
                               qni_optimizer_name(optimizer->spec.kind),
                               qn_module_kind(optimizer->module));
    qn_tensor *grad = qn_module_flat_gradients(optimizer->module);
    if (!grad)
        return qn_context_error(optimizer->ctx, NULL);
    const double clip = optimizer->spec.clip_value;
    if (clip > 0)
        status = qn_clamp_in_place(grad, -clip, clip);
    if (status == QN_OK)
        status = write_hyper(optimizer, grad);
    if (status == QN_OK)
        status = move_parameters(optimizer, p, grad);
    if (status != QN_OK)
        return status;
    qn_module_zero_grad(optimizer->module);
    optimizer->steps++;
    return QN_OK;
}

/* ---- what can be read and set ------------------------------------------------------------ */

qn_context *qn_optimizer_context(const qn_optimizer *optimizer) {
    return optimizer ? optimizer->ctx : NULL;
}

double qn_optimizer_lr(const qn_optimizer *optimizer) { return optimizer ? optimizer->lr : NAN; }

void qn_optimizer_set_lr(qn_optimizer *optimizer, double lr) {
    if (!optimizer)
        return;
    if (isfinite(lr) && lr >= 0)
        optimizer->lr = lr;
    else
        qn_context_fail(optimizer->ctx, QN_INVALID_ARGUMENT, "%s: lr must be at least 0, got %g",
                        qni_optimizer_name(optimizer->spec.kind), lr);
}

int64_t qn_optimizer_steps(const qn_optimizer *optimizer) {
    return optimizer ? optimizer->steps : 0;
}

void qn_optimizer_set_steps(qn_optimizer *optimizer, int64_t steps) {
    if (!optimizer)
        return;
    if (steps >= 0)
        optimizer->steps = steps;
    else
        qn_context_fail(optimizer->ctx, QN_INVALID_ARGUMENT,
                        "%s: steps must be at least 0, got %lld",
                        qni_optimizer_name(optimizer->spec.kind), (long long)steps);
}

int qn_optimizer_tensor_count(const qn_optimizer *optimizer) {
    return optimizer ? optimizer->state_count : 0;
}

qn_named_tensor qn_optimizer_tensor(const qn_optimizer *optimizer, int index) {
    if (!optimizer || index < 0 || index >= optimizer->state_count)
        return (qn_named_tensor){0};
    return optimizer->state[index];
}

const qn_optimizer_spec *qn_optimizer_settings(const qn_optimizer *optimizer) {
    return optimizer ? &optimizer->spec : NULL;
}
