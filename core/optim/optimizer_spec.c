/* optimizer_spec.c: the settings of each optimizer: defaults and limits. */
#include "optimizer_spec.h"

#include <math.h>

qn_optimizer_spec qn_sgd(double lr, double momentum) {
    return (qn_optimizer_spec){.kind = QN_OPT_SGD, .lr = lr, .momentum = momentum};
}

qn_optimizer_spec qn_adam(double lr) {
    return (qn_optimizer_spec){
        .kind = QN_OPT_ADAM, .lr = lr, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
}

qn_optimizer_spec qn_adamw(double lr, double weight_decay) {
    qn_optimizer_spec spec = qn_adam(lr);
    spec.weight_decay = weight_decay;
    spec.decoupled = true;
    return spec;
}

qn_optimizer_spec qn_rmsprop(double lr) {
    return (qn_optimizer_spec){.kind = QN_OPT_RMSPROP, .lr = lr, .alpha = 0.99, .epsilon = 1e-8};
}

qn_optimizer_spec qn_adadelta(double lr) {
    return (qn_optimizer_spec){.kind = QN_OPT_ADADELTA, .lr = lr, .rho = 0.9, .epsilon = 1e-6};
}

const char *qni_optimizer_name(qn_optimizer_kind kind) {
    static const char *const names[] = {[QN_OPT_SGD] = "sgd",
                                        [QN_OPT_ADAM] = "adam",
                                        [QN_OPT_RMSPROP] = "rmsprop",
                                        [QN_OPT_ADADELTA] = "adadelta"};
    return (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : NULL;
}

/* What a setting may be. */
typedef enum limit { POSITIVE, NOT_NEGATIVE, FRACTION } limit;

static bool within(double value, limit allowed) {
    if (!isfinite(value))
        return false;
    switch (allowed) {
    case POSITIVE:
        return value > 0;
    case NOT_NEGATIVE:
        return value >= 0;
    default:
        return value >= 0 && value < 1;
    }
}

qn_status qni_optimizer_check(qn_context *ctx, const qn_optimizer_spec *spec) {
    const char *name = qni_optimizer_name(spec->kind);
    if (!name)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "optimizer: unknown kind %d",
                               (int)spec->kind);
    static const char *const words[] = {
        [POSITIVE] = "above 0", [NOT_NEGATIVE] = "at least 0", [FRACTION] = "in [0, 1)"};
    /* All but SGD divide by a root that may be 0. */
    const limit epsilon = spec->kind == QN_OPT_SGD ? NOT_NEGATIVE : POSITIVE;
    const struct {
        const char *name;
        double value;
        limit allowed;
    } settings[] = {{"lr", spec->lr, POSITIVE},
                    {"weight_decay", spec->weight_decay, NOT_NEGATIVE},
                    {"momentum", spec->momentum, FRACTION},
                    {"dampening", spec->dampening, FRACTION},
                    {"beta1", spec->beta1, FRACTION},
                    {"beta2", spec->beta2, FRACTION},
                    {"alpha", spec->alpha, FRACTION},
                    {"rho", spec->rho, FRACTION},
                    {"epsilon", spec->epsilon, epsilon},
                    {"clip_norm", spec->clip_norm, NOT_NEGATIVE},
                    {"clip_value", spec->clip_value, NOT_NEGATIVE},
                    {"loss_scale", spec->loss_scale, NOT_NEGATIVE}};
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (!within(settings[i].value, settings[i].allowed))
            return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: %s must be %s, got %g", name,
                                   settings[i].name, words[settings[i].allowed], settings[i].value);
    if (spec->nesterov && !(spec->momentum > 0 && spec->dampening == 0))
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                               "%s: nesterov needs momentum above 0 and dampening 0, got %g and %g",
                               name, spec->momentum, spec->dampening);
    if (spec->loss_scale > 0 && spec->clip_value > 0)
        return qn_context_fail(
            ctx, QN_INVALID_ARGUMENT,
            "%s: clip_value would clamp the gradients of a scaled loss (loss_scale "
            "%g); clip_norm goes with it",
            name, spec->loss_scale);
    return QN_OK;
}
