/* optimizer.c: an optimizer over the flat buffers of a module, one call a step whatever the number
 * of parameters, and over the rows seen of each parameter with a sparse gradient. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "setting.h"

enum { GROWTH_STEPS = 2000 };

/* What one call moves, with the state for it. */
typedef struct group {
    qn_tensor *sparse; /* a parameter with a sparse gradient; NULL: the flat buffers */
    qn_tensor *state[QN_OPTIMIZER_STATES];
} group;

struct qn_optimizer {
    qn_context *ctx;
    qn_module *module;
    qn_optimizer_spec spec;
    double lr;        /* of the next step */
    int64_t steps;    /* taken */
    int64_t count;    /* elements of the flat buffers that the state belongs to */
    qn_tensor *hyper; /* of the parameters' dtype */
    qn_tensor *scale; /* of the loss, and good steps since it changed; NULL: none. Also in state */
    group *groups;    /* the flat buffers, then the sparse parameters */
    int group_count;
    qn_named_tensor *state; /* of all groups, names owned */
    int state_count;
};

/* Called by the context, or once it no longer knows the optimizer. */
static void optimizer_destroy(void *object) {
    qn_optimizer *optimizer = object;
    for (int i = 0; i < optimizer->state_count; i++) {
        qn_tensor_free(optimizer->state[i].tensor);
        free((char *)optimizer->state[i].name);
    }
    qn_tensor_free(optimizer->hyper);
    free(optimizer->state);
    free(optimizer->groups);
}

/* How many of the state's names count. */
static int state_count(const qn_optimizer_spec *spec) {
    int count = 0;
    while (count < QN_OPTIMIZER_STATES && spec->kind->state[count])
        count++;
    const int needed = spec->kind->states ? spec->kind->states(spec) : count;
    return needed < 0 ? 0 : needed < count ? needed : count;
}

static qn_status out_of_memory(const qn_optimizer *optimizer) {
    return qn_context_fail(optimizer->ctx, QN_OUT_OF_MEMORY, "%s: out of memory",
                           optimizer->spec.kind->name);
}

/* "exp_avg" for the flat buffers, "exp_avg.embedding.weight" for a parameter of that name; to be
 * freed. */
static char *state_name(const char *name, const char *parameter) {
    const size_t bytes = strlen(name) + (parameter ? strlen(parameter) + 1 : 0) + 1;
    char *joined = malloc(bytes);
    if (joined)
        snprintf(joined, bytes, "%s%s%s", name, parameter ? "." : "", parameter ? parameter : "");
    return joined;
}

/* Adds a tensor that checkpoints keep; takes the name. NULL on failure. */
static qn_tensor *add_state(qn_optimizer *optimizer, char *name, qn_tensor *made) {
    qn_tensor *tensor = qn_keep(made);
    if (!name)
        out_of_memory(optimizer);
    optimizer->state[optimizer->state_count++] = (qn_named_tensor){.name = name, .tensor = tensor};
    return name ? tensor : NULL;
}

/* Adds a group and its state, all zeros, like a tensor (the parameter, or the flat buffer). */
static bool add_group(qn_optimizer *optimizer, qn_tensor *sparse, const char *parameter,
                      const qn_tensor *like) {
    const int count = state_count(&optimizer->spec);
    group *g = &optimizer->groups[optimizer->group_count++];
    *g = (group){.sparse = sparse};
    for (int i = 0; i < count; i++) {
        g->state[i] =
            add_state(optimizer, state_name(optimizer->spec.kind->state[i], parameter),
                      qn_zeros(optimizer->ctx, qn_tensor_dtype(like), qn_tensor_shape(like)));
        if (!g->state[i])
            return false;
    }
    return true;
}

/* An error that names a parameter with a sparse gradient, unless the method can move its rows. */
static bool takes_rows(const qn_optimizer *optimizer, const char *parameter) {
    const qn_optimizer_kind *kind = optimizer->spec.kind;
    if (!kind->sparse)
        qn_context_fail(optimizer->ctx, QN_INVALID_ARGUMENT,
                        "%s: '%s' has a sparse gradient, which needs a step that moves single rows",
                        kind->name, parameter);
    return kind->sparse;
}

static bool add_scale(qn_optimizer *optimizer) {
    const float scale[2] = {(float)optimizer->spec.loss_scale, 0};
    if (scale[0] > 0)
        optimizer->scale = add_state(optimizer, state_name("loss_scale", NULL),
                                     qn_from_data(optimizer->ctx, QN_F32, QN_SHAPE(2), scale));
    return scale[0] == 0 || optimizer->scale;
}

/* An error unless the parameters can take a step. */
static bool can_step(const qn_optimizer *optimizer) {
    const qn_dtype dtype = qn_tensor_dtype(qn_module_flat_parameters(optimizer->module));
    if (dtype == QN_F32 || dtype == QN_F64)
        return true;
    qn_context_fail(optimizer->ctx, QN_DTYPE_MISMATCH,
                    "%s: the parameters are %s, expected f32 or f64: in 16 bits most steps would "
                    "be rounded away",
                    optimizer->spec.kind->name, qn_dtype_string(dtype));
    return false;
}

/* Makes the groups of an optimizer and their state. */
static bool make_state(qn_optimizer *optimizer) {
    const qn_module *module = optimizer->module;
    const size_t most = (size_t)qn_module_tensor_count(module) + 1;
    optimizer->groups = calloc(most, sizeof(*optimizer->groups));
    optimizer->state = calloc(most * QN_OPTIMIZER_STATES + 1, sizeof(*optimizer->state));
    if (!optimizer->groups || !optimizer->state) {
        out_of_memory(optimizer);
        return false;
    }
    bool made = can_step(optimizer) &&
                add_group(optimizer, NULL, NULL, qn_module_flat_parameters(optimizer->module));
    for (int i = 0; made && i < qn_module_tensor_count(module); i++) {
        const qn_named_tensor p = qn_module_tensor(module, i);
        if (p.trained && qn_requires_sparse_grad(p.tensor))
            made =
                takes_rows(optimizer, p.name) && add_group(optimizer, p.tensor, p.name, p.tensor);
    }
    if (made && add_scale(optimizer))
        optimizer->hyper = qn_keep(
            qn_zeros(optimizer->ctx, qn_tensor_dtype(qn_module_flat_parameters(optimizer->module)),
                     QN_SHAPE(QN_HYPER_COUNT)));
    return optimizer->hyper != NULL;
}

qn_optimizer *qn_optimizer_new(qn_module *module, qn_optimizer_spec spec) {
    qn_context *ctx = qn_module_context(module);
    if (!module || qni_optimizer_check(ctx, &spec) != QN_OK || qn_module_flatten(module) != QN_OK)
        return NULL;
    qn_optimizer *optimizer =
        qn_object_new(ctx, "optimizer", sizeof(*optimizer), optimizer_destroy);
    if (!optimizer)
        return NULL;
    optimizer->ctx = ctx;
    optimizer->module = module;
    optimizer->spec = spec;
    optimizer->lr = spec.lr;
    optimizer->count = qn_tensor_count(qn_module_flat_parameters(module));
    if (make_state(optimizer))
        return optimizer;
    qn_optimizer_free(optimizer);
    return NULL;
}

void qn_optimizer_free(qn_optimizer *optimizer) { qn_object_free(optimizer, "optimizer_free"); }

/* ---- a step ------------------------------------------------------------------------------ */

/* The gradient of a group, and its rows that hold something (NULL: all); NULL if there is none,
 * which of the flat buffers is a failure. */
static qn_tensor *group_grad(const qn_optimizer *optimizer, const group *g, qn_tensor **seen) {
    *seen = NULL;
    return g->sparse ? qn_sparse_grad(g->sparse, seen)
                     : qn_module_flat_gradients(optimizer->module);
}

/* Clamps each element of all gradients: zeros where a row holds nothing, since its memory may never
 * have been written. */
static qn_status clip_values(const qn_optimizer *optimizer) {
    const double clip = optimizer->spec.clip_value;
    qn_status status = QN_OK;
    for (int i = 0; clip > 0 && i < optimizer->group_count && status == QN_OK; i++) {
        const group *g = &optimizer->groups[i];
        qn_tensor *grad =
            g->sparse ? qn_grad(g->sparse) : qn_module_flat_gradients(optimizer->module);
        if (grad)
            status = qn_clamp_in_place(grad, -clip, clip);
    }
    return status;
}

/* The sum of squares of all gradients; NULL on failure. */
static qn_tensor *square_sum(const qn_optimizer *optimizer) {
    qn_tensor *total = NULL;
    for (int i = 0; i < optimizer->group_count; i++) {
        qn_tensor *seen, *grad = group_grad(optimizer, &optimizer->groups[i], &seen);
        if (!grad && optimizer->groups[i].sparse)
            continue;
        qn_tensor *before = total, *sum = qn_square_sum_rows(grad, seen);
        total = i == 0 ? sum : qn_add(before, sum);
        if (i > 0) {
            qn_tensor_free(before);
            qn_tensor_free(sum);
        }
    }
    return total;
}

/* Writes rate and step number, and 1 as the factor that clips: what the host knows of a step. */
static qn_status write_hyper(void *data) {
    qn_optimizer *optimizer = data;
    const double hyper[QN_HYPER_COUNT] = {[QN_HYPER_LR] = optimizer->lr,
                                          [QN_HYPER_STEP] = (double)optimizer->steps + 1,
                                          [QN_HYPER_CLIP] = 1};
    if (qn_tensor_dtype(optimizer->hyper) == QN_F64)
        return qn_tensor_write(optimizer->hyper, hyper, sizeof(hyper));
    float rounded[QN_HYPER_COUNT];
    for (int i = 0; i < QN_HYPER_COUNT; i++)
        rounded[i] = (float)hyper[i];
    return qn_tensor_write(optimizer->hyper, rounded, sizeof(rounded));
}

static qn_status count_step(void *data) {
    qn_optimizer *optimizer = data;
    if (optimizer->steps < INT64_MAX) /* what a checkpoint may say */
        optimizer->steps++;
    return QN_OK;
}

/* Makes `hyper` ready for the step, with the factor on the gradients, which only clip_norm and a
 * scaled loss move away from 1. */
static qn_status set_hyper(qn_optimizer *optimizer) {
    qn_status status = qn_host_call(optimizer->ctx, write_hyper, optimizer);
    const double max_norm = optimizer->spec.clip_norm;
    if (status != QN_OK || !(max_norm > 0 || optimizer->scale))
        return status;
    qn_tensor *sum = square_sum(optimizer);
    if (!sum)
        return qn_context_error(optimizer->ctx, NULL);
    status = optimizer->scale ? qn_loss_scale_update(sum, optimizer->hyper, optimizer->scale,
                                                     max_norm, GROWTH_STEPS)
                              : qn_clip_factor(sum, optimizer->hyper, max_norm);
    qn_tensor_free(sum);
    return status;
}

/* Moves what a group holds, off the tape; what a method of the program's own makes on the way is
 * freed. */
static qn_status move_group(const qn_optimizer *optimizer, const group *g) {
    qn_context *ctx = optimizer->ctx;
    qn_optimizer_move move = {
        .p = g->sparse ? g->sparse : qn_module_flat_parameters(optimizer->module),
        .state = g->state,
        .hyper = optimizer->hyper,
        .spec = &optimizer->spec,
    };
    move.grad = group_grad(optimizer, g, &move.seen);
    if (!move.grad && g->sparse)
        return QN_OK;
    const bool recording = qn_context_set_grad(ctx, false);
    const int begin = qn_tidy_begin(ctx);
    qn_status status = optimizer->spec.kind->step(&move);
    qn_tidy_end(ctx, begin, NULL, 0);
    qn_context_set_grad(ctx, recording);
    if (status == QN_OK) /* which it may say whatever became of its operations */
        return qn_context_error(ctx, NULL);
    return qn_context_fail(ctx, status, "%s: its step failed: %s", optimizer->spec.kind->name,
                           qn_status_string(status));
}

qn_tensor *qn_optimizer_scale_loss(qn_optimizer *optimizer, qn_tensor *loss) {
    const bool alive = qn_object_alive(optimizer, "scale_loss");
    if (alive && !loss)
        qn_context_fail(optimizer->ctx, QN_INVALID_ARGUMENT, "scale_loss: the loss is NULL");
    if (!alive || !loss || !optimizer->scale)
        return loss;
    qn_tensor *scale = qn_reshape(qn_slice(optimizer->scale, 0, 0, 1), QN_SCALAR);
    if (qn_tensor_dtype(loss) != QN_F32)
        scale = qn_cast(scale, qn_tensor_dtype(loss));
    return qn_mul(loss, scale);
}

qn_status qn_optimizer_step(qn_optimizer *optimizer) {
    if (!qn_object_alive(optimizer, "optimizer_step"))
        return QN_INVALID_ARGUMENT;
    /* After a failure the gradients may be half of the truth. */
    qn_status status = qn_context_error(optimizer->ctx, NULL);
    if (status != QN_OK)
        return status;
    const qn_tensor *p = qn_module_flat_parameters(optimizer->module);
    if (!p || qn_tensor_count(p) != optimizer->count)
        return qn_context_fail(optimizer->ctx, QN_INVALID_ARGUMENT,
                               "%s: the parameters of %s have changed or were flattened with "
                               "another module; make a new optimizer",
                               optimizer->spec.kind->name, qn_module_kind(optimizer->module));
    if (!qn_module_flat_gradients(optimizer->module))
        return qn_context_error(optimizer->ctx, NULL);
    status = clip_values(optimizer);
    if (status == QN_OK)
        status = set_hyper(optimizer);
    for (int i = 0; i < optimizer->group_count && status == QN_OK; i++)
        status = move_group(optimizer, &optimizer->groups[i]);
    if (status == QN_OK)
        status = qn_module_apply_limits(optimizer->module);
    if (status != QN_OK)
        return status;
    qn_module_zero_grad(optimizer->module);
    return qn_host_call(optimizer->ctx, count_step, optimizer);
}

/* ---- what can be read and set ------------------------------------------------------------ */

qn_context *qn_optimizer_context(const qn_optimizer *optimizer) {
    return qn_object_alive(optimizer, "optimizer") ? optimizer->ctx : NULL;
}

double qn_optimizer_lr(const qn_optimizer *optimizer) {
    return qn_object_alive(optimizer, "optimizer_lr") ? optimizer->lr : NAN;
}

void qn_optimizer_set_lr(qn_optimizer *optimizer, double lr) {
    if (!qn_object_alive(optimizer, "optimizer_set_lr"))
        return;
    if (isfinite(lr) && lr >= 0)
        optimizer->lr = lr;
    else
        qn_context_fail(optimizer->ctx, QN_INVALID_ARGUMENT, "%s: lr must be at least 0, got %g",
                        optimizer->spec.kind->name, lr);
}

int64_t qn_optimizer_steps(const qn_optimizer *optimizer) {
    return qn_object_alive(optimizer, "optimizer_steps") ? optimizer->steps : 0;
}

void qn_optimizer_set_steps(qn_optimizer *optimizer, int64_t steps) {
    if (!qn_object_alive(optimizer, "optimizer_set_steps"))
        return;
    if (steps >= 0)
        optimizer->steps = steps;
    else
        qn_context_fail(optimizer->ctx, QN_INVALID_ARGUMENT,
                        "%s: steps must be at least 0, got %lld", optimizer->spec.kind->name,
                        (long long)steps);
}

int qn_optimizer_tensor_count(const qn_optimizer *optimizer) {
    return qn_object_alive(optimizer, "optimizer_tensor_count") ? optimizer->state_count : 0;
}

qn_named_tensor qn_optimizer_tensor(const qn_optimizer *optimizer, int index) {
    if (!qn_object_alive(optimizer, "optimizer_tensor") || index < 0 ||
        index >= optimizer->state_count)
        return (qn_named_tensor){0};
    return optimizer->state[index];
}

const qn_optimizer_spec *qn_optimizer_settings(const qn_optimizer *optimizer) {
    return qn_object_alive(optimizer, "optimizer_settings") ? &optimizer->spec : NULL;
}
