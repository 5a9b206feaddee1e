/* optimizer_spec.c: all settings of an optimizer, its method's and those that every optimizer has.
 */
#include "setting.h"

static const qn_setting rate = {.name = "lr",
                                .label = "learning rate",
                                .offset = offsetof(qn_optimizer_spec, lr),
                                .limit = QN_LIMIT_POSITIVE};

static const qn_setting of_all[] = {
    {.name = "clip_norm",
     .offset = offsetof(qn_optimizer_spec, clip_norm),
     .limit = QN_LIMIT_NOT_NEGATIVE},
    {.name = "clip_value",
     .offset = offsetof(qn_optimizer_spec, clip_value),
     .limit = QN_LIMIT_NOT_NEGATIVE},
    {.name = "loss_scale",
     .offset = offsetof(qn_optimizer_spec, loss_scale),
     .limit = QN_LIMIT_NOT_NEGATIVE},
    {0},
};

const qn_setting *qn_optimizer_setting(const qn_optimizer_kind *kind, int index) {
    int count;
    if (!kind || index < 0)
        return NULL;
    if (index == 0)
        return &rate;
    const qn_setting *own = qni_setting_at(kind->settings, index - 1, &count);
    return own ? own : qni_setting_at(of_all, index - 1 - count, &count);
}

qn_optimizer_spec qn_optimizer_defaults(const qn_optimizer_kind *kind) {
    qn_optimizer_spec spec = {.kind = kind};
    const qn_setting *setting;
    for (int i = 0; (setting = qn_optimizer_setting(kind, i)); i++)
        qni_setting_reset(setting, &spec);
    spec.lr = kind ? kind->lr : 0;
    return spec;
}

/** What the method's row says that it cannot do. */
static qn_status check_abilities(qn_context *ctx, const qn_optimizer_spec *spec) {
    const char *asked = spec->clip_norm > 0    ? "clip_norm"
                        : spec->loss_scale > 0 ? "loss_scale"
                                               : NULL;
    if (asked && !spec->kind->scales)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                               "%s: %s needs a step that scales gradients, which its kind does not "
                               "say of itself",
                               spec->kind->name, asked);
    if (spec->loss_scale > 0 && spec->clip_value > 0)
        return qn_context_fail(
            ctx, QN_INVALID_ARGUMENT,
            "%s: clip_value would clamp the gradients of a scaled loss (loss_scale "
            "%g); clip_norm goes with it",
            spec->kind->name, spec->loss_scale);
    return QN_OK;
}

qn_status qni_optimizer_check(qn_context *ctx, const qn_optimizer_spec *spec) {
    const qn_optimizer_kind *kind = spec->kind;
    if (!kind)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                               "optimizer: no kind is given; qn_adam(1e-3) has one");
    if (!kind->name || !kind->step)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                               "optimizer: kind '%s' needs a name and a step",
                               kind->name ? kind->name : "");
    const qn_setting *setting;
    qn_status status = QN_OK;
    for (int i = 0; (setting = qn_optimizer_setting(kind, i)) && status == QN_OK; i++)
        status = qni_setting_check(ctx, kind->name, setting, spec);
    if (status == QN_OK && kind->check) {
        status = kind->check(ctx, spec);
        if (status != QN_OK)
            qn_context_fail(ctx, status, "%s: its settings do not go together", kind->name);
    }
    return status == QN_OK ? check_abilities(ctx, spec) : status;
}
