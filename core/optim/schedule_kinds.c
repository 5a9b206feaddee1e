/* schedule_kinds.c: the rules by which the learning rate moves, one row each. */
#include <math.h>
#include <string.h>

#include "setting.h"

/* ---- constant -------------------------------------------------------------------------------- */

static double constant_rate(const qn_schedule *schedule, const qn_schedule_moment *now) {
    (void)schedule;
    (void)now;
    return 1;
}

static const qn_schedule_kind constant = {.name = "constant", .rate = constant_rate};

/* ---- step ------------------------------------------------------------------------------------ */

static double step_rate(const qn_schedule *schedule, const qn_schedule_moment *now) {
    const int64_t delay = qni_in_steps(schedule->delay, now->steps_per_epoch);
    const int64_t period = qni_in_steps(schedule->period, now->steps_per_epoch);
    const int64_t step = now->step > delay ? now->step - delay : 0;
    return pow(schedule->factor, (double)(step / (period > 0 ? period : 1)));
}

static const qn_setting step_settings[] = {
    {.name = "delay",
     .label = "schedule delay",
     .offset = offsetof(qn_schedule, delay),
     .limit = QN_LIMIT_NOT_NEGATIVE},
    {.name = "period",
     .label = "schedule period",
     .offset = offsetof(qn_schedule, period),
     .otherwise = 1,
     .limit = QN_LIMIT_POSITIVE},
    {.name = "factor",
     .label = "schedule factor",
     .offset = offsetof(qn_schedule, factor),
     .otherwise = 0.1,
     .limit = QN_LIMIT_FRACTION},
    {0},
};

static const qn_schedule_kind step = {.name = "step", .settings = step_settings, .rate = step_rate};

/* ---- cosine and one-cycle -------------------------------------------------------------------- */

/* From `from` to `to` along half a cosine wave, as `progress` goes from 0 to 1. */
static double wave(double from, double to, double progress) {
    const double pi = 3.14159265358979323846;
    progress = progress < 0 ? 0 : progress > 1 ? 1 : progress;
    return to + (from - to) * (1 + cos(pi * progress)) / 2;
}

static double cosine_rate(const qn_schedule *schedule, const qn_schedule_moment *now) {
    return wave(1, schedule->final, (double)now->step / (double)now->steps);
}

static const qn_setting cosine_settings[] = {
    {.name = "final",
     .label = "schedule final",
     .offset = offsetof(qn_schedule, final),
     .limit = QN_LIMIT_FRACTION},
    {0},
};

static const qn_schedule_kind cosine = {
    .name = "cosine", .settings = cosine_settings, .whole_run = true, .rate = cosine_rate};

/* A rise up to step rise * steps - 1, then a fall that ends with the last step. */
static double one_cycle_rate(const qn_schedule *schedule, const qn_schedule_moment *now) {
    const double at = (double)now->step, steps = (double)now->steps;
    const double top = fmax(schedule->rise * steps - 1, 0), last = steps - 1;
    if (at < top)
        return wave(schedule->start, 1, at / top);
    return last > top ? wave(1, schedule->final, (at - top) / (last - top)) : 1;
}

static const qn_setting one_cycle_settings[] = {
    {.name = "final",
     .label = "schedule final",
     .offset = offsetof(qn_schedule, final),
     .otherwise = 1.0 / 250000,
     .limit = QN_LIMIT_FRACTION},
    {.name = "start",
     .label = "schedule start",
     .offset = offsetof(qn_schedule, start),
     .otherwise = 1.0 / 25,
     .limit = QN_LIMIT_FRACTION},
    {.name = "rise",
     .label = "schedule rise",
     .offset = offsetof(qn_schedule, rise),
     .otherwise = 0.3,
     .limit = QN_LIMIT_FRACTION},
    {0},
};

static const qn_schedule_kind one_cycle = {
    .name = "one-cycle", .settings = one_cycle_settings, .whole_run = true, .rate = one_cycle_rate};

/* ---- plateau --------------------------------------------------------------------------------- */

static double plateau_rate(const qn_schedule *schedule, const qn_schedule_moment *now) {
    (void)schedule;
    return now->state.scale;
}

static void plateau_metric(const qn_schedule *schedule, qn_scheduler_state *state, double value) {
    if (value < state->best) {
        state->best = value;
        state->waited = 0;
    } else if (state->waited < schedule->patience) {
        state->waited++;
    } else {
        state->scale = fmax(state->scale * schedule->factor, schedule->minimum);
        state->waited = 0;
    }
}

static const qn_setting plateau_settings[] = {
    {.name = "factor",
     .label = "schedule factor",
     .offset = offsetof(qn_schedule, factor),
     .otherwise = 0.1,
     .limit = QN_LIMIT_FRACTION},
    {.name = "patience",
     .label = "schedule patience",
     .offset = offsetof(qn_schedule, patience),
     .otherwise = 10,
     .limit = QN_LIMIT_COUNT},
    {.name = "minimum",
     .label = "schedule minimum",
     .offset = offsetof(qn_schedule, minimum),
     .limit = QN_LIMIT_FRACTION},
    {0},
};

static const qn_schedule_kind plateau = {.name = "plateau",
                                         .settings = plateau_settings,
                                         .rate = plateau_rate,
                                         .metric = plateau_metric};

/* ---- the list -------------------------------------------------------------------------------- */

static const qn_schedule_kind *const kinds[] = {&constant, &step, &cosine, &one_cycle, &plateau};
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

const qn_schedule_kind *qn_schedule_kind_at(int index) {
    return index >= 0 && index < KINDS ? kinds[index] : NULL;
}

const qn_schedule_kind *qn_schedule_find(const char *name) {
    for (int i = 0; name && i < KINDS; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

const qn_schedule_kind *qni_schedule_kind(const qn_schedule_kind *kind) {
    return kind ? kind : &constant;
}

/* ---- as programs write them ------------------------------------------------------------------ */

qn_schedule qn_schedule_constant(void) { return qn_schedule_defaults(&constant); }

qn_schedule qn_schedule_step(double period, double factor) {
    qn_schedule schedule = qn_schedule_defaults(&step);
    schedule.period = period;
    schedule.factor = factor;
    return schedule;
}

qn_schedule qn_schedule_cosine(double final) {
    qn_schedule schedule = qn_schedule_defaults(&cosine);
    schedule.final = final;
    return schedule;
}

qn_schedule qn_schedule_one_cycle(void) { return qn_schedule_defaults(&one_cycle); }

qn_schedule qn_schedule_plateau(double factor, int patience) {
    qn_schedule schedule = qn_schedule_defaults(&plateau);
    schedule.factor = factor;
    schedule.patience = patience;
    return schedule;
}
