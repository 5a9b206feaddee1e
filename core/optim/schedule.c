/* schedule.c: learning-rate schedules. The rate of a step is a function of the schedule, the step's
 * number and the length of the run alone (and of what a plateau has seen), so that a resumed run
 * gets the same rates. */
#include <math.h>
#include <stdlib.h>

#include "quern.h"

struct qn_scheduler {
    qn_context *ctx;
    qn_optimizer *optimizer;
    qn_schedule schedule;
    double reference;        /* the optimizer's rate before any schedule */
    int64_t steps_per_epoch; /* all further counts are in steps */
    int64_t warmup, delay, period, total;
    qn_scheduler_state state;
};

qn_schedule qn_schedule_constant(void) { return (qn_schedule){.kind = QN_SCHEDULE_CONSTANT}; }

qn_schedule qn_schedule_step(double period, double factor) {
    return (qn_schedule){.kind = QN_SCHEDULE_STEP, .period = period, .factor = factor};
}

qn_schedule qn_schedule_cosine(double final) {
    return (qn_schedule){.kind = QN_SCHEDULE_COSINE, .final = final};
}

qn_schedule qn_schedule_one_cycle(void) {
    return (qn_schedule){
        .kind = QN_SCHEDULE_ONE_CYCLE, .start = 1.0 / 25, .final = 1.0 / 250000, .rise = 0.3};
}

qn_schedule qn_schedule_plateau(double factor, int patience) {
    return (qn_schedule){.kind = QN_SCHEDULE_PLATEAU, .factor = factor, .patience = patience};
}

/* ---- rates, as multiples of the reference ------------------------------------------------- */

/* From `from` to `to` along half a cosine wave, as `progress` goes from 0 to 1. */
static double cosine(double from, double to, double progress) {
    const double pi = 3.14159265358979323846;
    progress = progress < 0 ? 0 : progress > 1 ? 1 : progress;
    return to + (from - to) * (1 + cos(pi * progress)) / 2;
}

/* A rise up to step rise * total - 1, then a fall that ends with the last step. */
static double one_cycle(const qn_schedule *schedule, double step, double total) {
    const double top = fmax(schedule->rise * total - 1, 0), last = total - 1;
    if (step < top)
        return cosine(schedule->start, 1, step / top);
    return last > top ? cosine(1, schedule->final, (step - top) / (last - top)) : 1;
}

/* The multiple for the step that follows `step` others. */
static double multiple(const qn_scheduler *scheduler, int64_t step) {
    const qn_schedule *schedule = &scheduler->schedule;
    if (step < scheduler->warmup)
        return (double)(step + 1) / (double)scheduler->warmup;
    step -= scheduler->warmup;
    const double total = fmax((double)(scheduler->total - scheduler->warmup), 1);
    switch (schedule->kind) {
    case QN_SCHEDULE_STEP:
        step = step > scheduler->delay ? step - scheduler->delay : 0;
        return pow(schedule->factor, (double)(step / scheduler->period));
    case QN_SCHEDULE_COSINE:
        return cosine(1, schedule->final, (double)step / total);
    case QN_SCHEDULE_ONE_CYCLE:
        return one_cycle(schedule, (double)step, total);
    case QN_SCHEDULE_PLATEAU:
        return scheduler->state.scale;
    default:
        return 1;
    }
}

/* ---- limits ------------------------------------------------------------------------------ */

static bool fraction(double value) { return value >= 0 && value <= 1; }

/* What is wrong with a schedule, in words; NULL if nothing. */
static const char *schedule_fault(const qn_schedule *schedule) {
    if (!(isfinite(schedule->warmup) && schedule->warmup >= 0))
        return "warmup must be at least 0";
    switch (schedule->kind) {
    case QN_SCHEDULE_CONSTANT:
        return NULL;
    case QN_SCHEDULE_STEP:
        if (!(isfinite(schedule->period) && schedule->period > 0))
            return "period must be above 0";
        if (!(isfinite(schedule->delay) && schedule->delay >= 0))
            return "delay must be at least 0";
        return fraction(schedule->factor) ? NULL : "factor must be in [0, 1]";
    case QN_SCHEDULE_COSINE:
        return fraction(schedule->final) ? NULL : "final must be in [0, 1]";
    case QN_SCHEDULE_ONE_CYCLE:
        if (!fraction(schedule->start) || !fraction(schedule->final))
            return "start and final must be in [0, 1]";
        return fraction(schedule->rise) ? NULL : "rise must be in [0, 1]";
    case QN_SCHEDULE_PLATEAU:
        if (!fraction(schedule->factor) || !fraction(schedule->minimum))
            return "factor and minimum must be in [0, 1]";
        return schedule->patience >= 0 ? NULL : "patience must be at least 0";
    }
    return "unknown kind";
}

/* A time in epochs as a whole number of steps. */
static int64_t in_steps(double epochs, int64_t steps_per_epoch) {
    return (int64_t)round(fmin(epochs * (double)steps_per_epoch, 1e15));
}

/* ---- the scheduler ----------------------------------------------------------------------- */

qn_scheduler *qn_scheduler_new(qn_optimizer *optimizer, qn_schedule schedule,
                               int64_t steps_per_epoch, int epochs) {
    if (!optimizer)
        return NULL;
    qn_context *ctx = qn_optimizer_context(optimizer);
    const char *fault = schedule_fault(&schedule);
    if (!fault && (steps_per_epoch < 1 || epochs < 1))
        fault = "needs at least one step and one epoch";
    if (fault) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "schedule: %s", fault);
        return NULL;
    }
    qn_scheduler *scheduler = malloc(sizeof(*scheduler));
    if (!scheduler) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "schedule: out of memory");
        return NULL;
    }
    const int64_t period = in_steps(schedule.period, steps_per_epoch);
    *scheduler = (qn_scheduler){.ctx = ctx,
                                .optimizer = optimizer,
                                .schedule = schedule,
                                .reference = qn_optimizer_lr(optimizer),
                                .steps_per_epoch = steps_per_epoch,
                                .warmup = in_steps(schedule.warmup, steps_per_epoch),
                                .delay = in_steps(schedule.delay, steps_per_epoch),
                                .period = period > 0 ? period : 1,
                                .total = steps_per_epoch * epochs,
                                .state = {.best = INFINITY, .scale = 1}};
    return qn_context_own(ctx, scheduler, free) == QN_OK ? scheduler : NULL;
}

void qn_scheduler_free(qn_scheduler *scheduler) {
    if (!scheduler)
        return;
    qn_context_disown(scheduler->ctx, scheduler);
    free(scheduler);
}

static qn_status set_rate(void *data) {
    const qn_scheduler *scheduler = data;
    const int64_t step = qn_optimizer_steps(scheduler->optimizer);
    qn_optimizer_set_lr(scheduler->optimizer, scheduler->reference * multiple(scheduler, step));
    return QN_OK;
}

void qn_scheduler_step(qn_scheduler *scheduler) {
    if (scheduler)
        qn_host_call(scheduler->ctx, set_rate, scheduler);
}

void qn_scheduler_metric(qn_scheduler *scheduler, double value) {
    if (!scheduler)
        return;
    const qn_schedule *schedule = &scheduler->schedule;
    qn_scheduler_state *state = &scheduler->state;
    if (value < state->best) {
        state->best = value;
        state->waited = 0;
    } else if (++state->waited > schedule->patience) {
        state->scale = fmax(state->scale * schedule->factor, schedule->minimum);
        state->waited = 0;
    }
}

qn_scheduler_state qn_scheduler_get(const qn_scheduler *scheduler) {
    return scheduler ? scheduler->state : (qn_scheduler_state){0};
}

void qn_scheduler_set(qn_scheduler *scheduler, qn_scheduler_state state) {
    if (scheduler)
        scheduler->state = state;
}
