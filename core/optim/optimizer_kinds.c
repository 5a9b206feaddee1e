/* optimizer_kinds.c: the methods by which optimizers move parameters, one row each. */
#include <string.h>

#include "setting.h"

/* ---- sgd ------------------------------------------------------------------------------------- */

static int sgd_states(const qn_optimizer_spec *spec) { return spec->momentum > 0; }

static qn_status sgd_check(qn_context *ctx, const qn_optimizer_spec *spec) {
    if (!spec->nesterov || (spec->momentum > 0 && spec->dampening == 0))
        return QN_OK;
    return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                           "sgd: nesterov needs momentum above 0 and dampening 0, got %g and %g",
                           spec->momentum, spec->dampening);
}

static qn_status sgd_step(const qn_optimizer_move *m) {
    return qn_sgd_step(m->p, m->grad, m->state[0], m->hyper, m->seen, m->spec);
}

static const qn_setting sgd_settings[] = {
    {.name = "weight_decay",
     .offset = offsetof(qn_optimizer_spec, weight_decay),
     .limit = QN_LIMIT_NOT_NEGATIVE},
    {.name = "decoupled",
     .label = "decoupled decay",
     .offset = offsetof(qn_optimizer_spec, decoupled),
     .limit = QN_LIMIT_FLAG},
    {.name = "momentum",
     .offset = offsetof(qn_optimizer_spec, momentum),
     .limit = QN_LIMIT_BELOW_ONE},
    {.name = "dampening",
     .offset = offsetof(qn_optimizer_spec, dampening),
     .limit = QN_LIMIT_BELOW_ONE},
    {.name = "nesterov", .offset = offsetof(qn_optimizer_spec, nesterov), .limit = QN_LIMIT_FLAG},
    {0},
};

static const qn_optimizer_kind sgd = {
    .name = "sgd",
    .lr = 1e-3,
    .settings = sgd_settings,
    .state = {"momentum"},
    .states = sgd_states,
    .check = sgd_check,
    .step = sgd_step,
    .scales = true,
    .sparse = true,
};

/* ---- adam and adamw -------------------------------------------------------------------------- */

static qn_status adam_step(const qn_optimizer_move *m) {
    return qn_adam_step(m->p, m->grad, m->state[0], m->state[1], m->hyper, m->seen, m->spec);
}

static const qn_setting adam_settings[] = {
    {.name = "weight_decay",
     .offset = offsetof(qn_optimizer_spec, weight_decay),
     .limit = QN_LIMIT_NOT_NEGATIVE},
    {.name = "decoupled",
     .label = "decoupled decay",
     .offset = offsetof(qn_optimizer_spec, decoupled),
     .limit = QN_LIMIT_FLAG},
    {.name = "beta1",
     .offset = offsetof(qn_optimizer_spec, beta1),
     .otherwise = 0.9,
     .limit = QN_LIMIT_BELOW_ONE},
    {.name = "beta2",
     .offset = offsetof(qn_optimizer_spec, beta2),
     .otherwise = 0.999,
     .limit = QN_LIMIT_BELOW_ONE},
    {.name = "epsilon",
     .offset = offsetof(qn_optimizer_spec, epsilon),
     .otherwise = 1e-8,
     .limit = QN_LIMIT_POSITIVE},
    {0},
};

static const qn_optimizer_kind adam = {
    .name = "adam",
    .lr = 1e-3,
    .settings = adam_settings,
    .state = {"exp_avg", "exp_avg_sq"},
    .step = adam_step,
    .scales = true,
    .sparse = true,
};

static const qn_setting adamw_settings[] = {
    {.name = "weight_decay",
     .offset = offsetof(qn_optimizer_spec, weight_decay),
     .otherwise = 0.01,
     .limit = QN_LIMIT_NOT_NEGATIVE},
    {.name = "decoupled",
     .label = "decoupled decay",
     .offset = offsetof(qn_optimizer_spec, decoupled),
     .otherwise = true,
     .limit = QN_LIMIT_FLAG},
    {.name = "beta1",
     .offset = offsetof(qn_optimizer_spec, beta1),
     .otherwise = 0.9,
     .limit = QN_LIMIT_BELOW_ONE},
    {.name = "beta2",
     .offset = offsetof(qn_optimizer_spec, beta2),
     .otherwise = 0.999,
     .limit = QN_LIMIT_BELOW_ONE},
    {.name = "epsilon",
     .offset = offsetof(qn_optimizer_spec, epsilon),
     .otherwise = 1e-8,
     .limit = QN_LIMIT_POSITIVE},
    {0},
};

/* Adam with other defaults. */
static const qn_optimizer_kind adamw = {
    .name = "adamw",
    .lr = 1e-3,
    .settings = adamw_settings,
    .state = {"exp_avg", "exp_avg_sq"},
    .step = adam_step,
    .scales = true,
    .sparse = true,
};

/* ---- rmsprop --------------------------------------------------------------------------------- */

static int rmsprop_states(const qn_optimizer_spec *spec) { return 1 + (spec->momentum > 0); }

static qn_status rmsprop_step(const qn_optimizer_move *m) {
    return qn_rmsprop_step(m->p, m->grad, m->state[0], m->state[1], m->hyper, m->seen, m->spec);
}

static const qn_setting rmsprop_settings[] = {
    {.name = "weight_decay",
     .offset = offsetof(qn_optimizer_spec, weight_decay),
     .limit = QN_LIMIT_NOT_NEGATIVE},
    {.name = "decoupled",
     .label = "decoupled decay",
     .offset = offsetof(qn_optimizer_spec, decoupled),
     .limit = QN_LIMIT_FLAG},
    {.name = "momentum",
     .offset = offsetof(qn_optimizer_spec, momentum),
     .limit = QN_LIMIT_BELOW_ONE},
    {.name = "alpha",
     .offset = offsetof(qn_optimizer_spec, alpha),
     .otherwise = 0.99,
     .limit = QN_LIMIT_BELOW_ONE},
    {.name = "epsilon",
     .offset = offsetof(qn_optimizer_spec, epsilon),
     .otherwise = 1e-8,
     .limit = QN_LIMIT_POSITIVE},
    {0},
};

static const qn_optimizer_kind rmsprop = {
    .name = "rmsprop",
    .lr = 1e-2,
    .settings = rmsprop_settings,
    .state = {"square_avg", "momentum"},
    .states = rmsprop_states,
    .step = rmsprop_step,
    .scales = true,
    .sparse = true,
};

/* ---- adadelta -------------------------------------------------------------------------------- */

static qn_status adadelta_step(const qn_optimizer_move *m) {
    return qn_adadelta_step(m->p, m->grad, m->state[0], m->state[1], m->hyper, m->seen, m->spec);
}

static const qn_setting adadelta_settings[] = {
    {.name = "weight_decay",
     .offset = offsetof(qn_optimizer_spec, weight_decay),
     .limit = QN_LIMIT_NOT_NEGATIVE},
    {.name = "decoupled",
     .label = "decoupled decay",
     .offset = offsetof(qn_optimizer_spec, decoupled),
     .limit = QN_LIMIT_FLAG},
    {.name = "rho",
     .offset = offsetof(qn_optimizer_spec, rho),
     .otherwise = 0.9,
     .limit = QN_LIMIT_BELOW_ONE},
    {.name = "epsilon",
     .offset = offsetof(qn_optimizer_spec, epsilon),
     .otherwise = 1e-6,
     .limit = QN_LIMIT_POSITIVE},
    {0},
};

static const qn_optimizer_kind adadelta = {
    .name = "adadelta",
    .lr = 1,
    .settings = adadelta_settings,
    .state = {"square_avg", "acc_delta"},
    .step = adadelta_step,
    .scales = true,
    .sparse = true,
};

/* ---- the list -------------------------------------------------------------------------------- */

static const qn_optimizer_kind *const kinds[] = {&sgd, &adam, &adamw, &rmsprop, &adadelta};
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

const qn_optimizer_kind *qn_optimizer_kind_at(int index) {
    return index >= 0 && index < KINDS ? kinds[index] : NULL;
}

const qn_optimizer_kind *qn_optimizer_find(const char *name) {
    for (int i = 0; name && i < KINDS; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

/* ---- as programs write them ------------------------------------------------------------------ */

static qn_optimizer_spec with_rate(const qn_optimizer_kind *kind, double lr) {
    qn_optimizer_spec spec = qn_optimizer_defaults(kind);
    spec.lr = lr;
    return spec;
}

qn_optimizer_spec qn_sgd(double lr, double momentum) {
    qn_optimizer_spec spec = with_rate(&sgd, lr);
    spec.momentum = momentum;
    return spec;
}

qn_optimizer_spec qn_adam(double lr) { return with_rate(&adam, lr); }

qn_optimizer_spec qn_adamw(double lr, double weight_decay) {
    qn_optimizer_spec spec = with_rate(&adamw, lr);
    spec.weight_decay = weight_decay;
    return spec;
}

qn_optimizer_spec qn_rmsprop(double lr) { return with_rate(&rmsprop, lr); }

qn_optimizer_spec qn_adadelta(double lr) { return with_rate(&adadelta, lr); }
