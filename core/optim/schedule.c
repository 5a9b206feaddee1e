/* schedule.c: schedules and what applies them to an optimizer. The rate of a step is a function of
 * the schedule, the step's number and the length of the run alone (and of what a metric has left),
 * so that a resumed run gets the same rates. */
#include <math.h>
#include <stdlib.h>

#include "setting.h"

struct qn_scheduler {
    qn_context *ctx;
    qn_optimizer *optimizer;
    qn_schedule schedule; /* its kind is not NULL */
    double reference;     /* the optimizer's rate before any schedule */
    int64_t warmup;       /* in steps */
    qn_schedule_moment now;
};

/* ---- settings -------------------------------------------------------------------------------- */

static const qn_setting warm_up = {.name = "warmup",
                                   .label = "warm-up epochs",
                                   .offset = offsetof(qn_schedule, warmup),
                                   .limit = QN_LIMIT_NOT_NEGATIVE};

const qn_setting *qn_schedule_setting(const qn_schedule_kind *kind, int index) {
    int count;
    if (index <= 0)
        return index == 0 ? &warm_up : NULL;
    return qni_setting_at(qni_schedule_kind(kind)->settings, index - 1, &count);
}

qn_schedule qn_schedule_defaults(const qn_schedule_kind *kind) {
    qn_schedule schedule = {.kind = kind};
    const qn_setting *setting;
    for (int i = 0; (setting = qn_schedule_setting(kind, i)); i++)
        qni_setting_reset(setting, &schedule);
    return schedule;
}

/* An error that names the setting and its value, unless the rule and all its settings are fine. */
static qn_status check(qn_context *ctx, const qn_schedule *schedule) {
    const qn_schedule_kind *kind = qni_schedule_kind(schedule->kind);
    if (!kind->name || !kind->rate)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                               "schedule: kind '%s' needs a name and a rate",
                               kind->name ? kind->name : "");
    const qn_setting *setting;
    qn_status status = QN_OK;
    for (int i = 0; (setting = qn_schedule_setting(kind, i)) && status == QN_OK; i++)
        status = qni_setting_check(ctx, "schedule", setting, schedule);
    return status;
}

int64_t qni_in_steps(double epochs, int64_t steps_per_epoch) {
    return (int64_t)round(fmin(epochs * (double)steps_per_epoch, 1e15));
}

/* ---- the scheduler ----------------------------------------------------------------------- */

qn_scheduler *qn_scheduler_new(qn_optimizer *optimizer, qn_schedule schedule,
                               int64_t steps_per_epoch, int epochs) {
    qn_context *ctx = qn_optimizer_context(optimizer);
    if (!ctx || check(ctx, &schedule) != QN_OK)
        return NULL;
    if (steps_per_epoch < 1 || epochs < 1) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "schedule: needs at least one step and one epoch, got %lld and %d",
                        (long long)steps_per_epoch, epochs);
        return NULL;
    }
    qn_scheduler *scheduler = qn_object_new(ctx, "scheduler", sizeof(*scheduler), NULL);
    if (!scheduler)
        return NULL;
    schedule.kind = qni_schedule_kind(schedule.kind);
    const int64_t warmup = qni_in_steps(schedule.warmup, steps_per_epoch);
    const int64_t left = steps_per_epoch * epochs - warmup;
    *scheduler = (qn_scheduler){.ctx = ctx,
                                .optimizer = optimizer,
                                .schedule = schedule,
                                .reference = qn_optimizer_lr(optimizer),
                                .warmup = warmup,
                                .now = {.steps = left > 0 ? left : 1,
                                        .steps_per_epoch = steps_per_epoch,
                                        .state = {.best = INFINITY, .scale = 1}}};
    return scheduler;
}

void qn_scheduler_free(qn_scheduler *scheduler) { qn_object_free(scheduler, "scheduler_free"); }

/* The rate of the step that follows `taken` others, as a multiple of the reference. */
static double multiple(const qn_scheduler *scheduler, int64_t taken) {
    if (taken < scheduler->warmup)
        return (double)(taken + 1) / (double)scheduler->warmup;
    qn_schedule_moment now = scheduler->now;
    now.step = taken - scheduler->warmup;
    return scheduler->schedule.kind->rate(&scheduler->schedule, &now);
}

static qn_status set_rate(void *data) {
    const qn_scheduler *scheduler = data;
    const int64_t taken = qn_optimizer_steps(scheduler->optimizer);
    qn_optimizer_set_lr(scheduler->optimizer, scheduler->reference * multiple(scheduler, taken));
    return QN_OK;
}

void qn_scheduler_step(qn_scheduler *scheduler) {
    if (qn_object_alive(scheduler, "scheduler_step"))
        qn_host_call(scheduler->ctx, set_rate, scheduler);
}

void qn_scheduler_metric(qn_scheduler *scheduler, double value) {
    if (qn_object_alive(scheduler, "scheduler_metric") && scheduler->schedule.kind->metric)
        scheduler->schedule.kind->metric(&scheduler->schedule, &scheduler->now.state, value);
}

qn_scheduler_state qn_scheduler_get(const qn_scheduler *scheduler) {
    return qn_object_alive(scheduler, "scheduler_get") ? scheduler->now.state
                                                       : (qn_scheduler_state){0};
}

void qn_scheduler_set(qn_scheduler *scheduler, qn_scheduler_state state) {
    if (qn_object_alive(scheduler, "scheduler_set"))
        scheduler->now.state = state;
}
