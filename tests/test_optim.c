/* test_optim.c: optimizers against their formulae by hand, clipping,
 * schedules, errors, ownership. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "with_context.h"

enum { SIZE = 3, STEPS = 5 };

TestSuite(optim, .init = open_context, .fini = close_context);

/* ---- a problem whose gradient is known by hand ------------------------------------------- */

/* loss = sum(curve * p^2), so that the gradient is 2 curve p. Two parameters, so that the flat
 * buffers have padding; the second mirrors the first. In f64, so that the formulae are checked
 * closely. */
static const double curve[SIZE] = {0.5, -1.5, 4}, start[SIZE] = {1, 2, 0.25};

static qn_tensor *squares(qn_module *self, qn_tensor *x) {
    qn_tensor *a = qn_module_find(self, "a"), *b = qn_module_find(self, "b");
    return qn_add(qn_sum(qn_mul(x, qn_mul(a, a)), QN_ALL, false),
                  qn_sum(qn_mul(x, qn_mul(b, b)), QN_ALL, false));
}

static qn_module *new_problem(void) {
    qn_module *module = qn_module_new(ctx, "problem", squares, NULL, NULL);
    qn_module_add_parameter(module, "a", qn_from_data(ctx, QN_F64, QN_SHAPE(SIZE), start));
    qn_module_add_parameter(module, "b", qn_from_data(ctx, QN_F64, QN_SHAPE(SIZE), start));
    return module;
}

static void backward(qn_module *module) {
    qn_tensor *x = qn_from_data(ctx, QN_F64, QN_SHAPE(SIZE), curve);
    cr_assert_eq(qn_backward(qn_forward(module, x)), QN_OK, "%s", qn_context_message(ctx));
}

static void take_step(qn_module *module, qn_optimizer *optimizer) {
    backward(module);
    cr_assert_eq(qn_optimizer_step(optimizer), QN_OK, "%s", qn_context_message(ctx));
    qn_step_end(ctx);
}

static void expect_parameters(const qn_module *module, const double *expected) {
    const char *const names[] = {"a", "b"};
    for (int which = 0; which < 2; which++) {
        double p[SIZE];
        cr_assert_eq(qn_tensor_read(qn_module_find(module, names[which]), p, sizeof(p)), QN_OK);
        for (int i = 0; i < SIZE; i++)
            cr_expect(fabs(p[i] - expected[i]) <= 1e-13 * fmax(1, fabs(expected[i])),
                      "%s[%d]: %.12g, not %.12g", names[which], i, p[i], expected[i]);
    }
}

/* ---- the formulae by hand ---------------------------------------------------------------- */

/* What an optimizer remembers of one element. */
typedef struct memory {
    double first, second;
} memory;

/* Moves p by its gradient g, weight decay included, at step t (from 1): the formulae of quern.h. */
typedef double (*rule)(const qn_optimizer_spec *s, double p, double g, memory *m, int t);

static double sgd(const qn_optimizer_spec *s, double p, double g, memory *m, int t) {
    if (s->momentum == 0)
        return p - s->lr * g;
    m->first = t == 1 ? g : s->momentum * m->first + (1 - s->dampening) * g;
    return p - s->lr * (s->nesterov ? g + s->momentum * m->first : m->first);
}

static double adam(const qn_optimizer_spec *s, double p, double g, memory *m, int t) {
    m->first = s->beta1 * m->first + (1 - s->beta1) * g;
    m->second = s->beta2 * m->second + (1 - s->beta2) * g * g;
    const double mean = m->first / (1 - pow(s->beta1, t));
    return p - s->lr * mean / (sqrt(m->second / (1 - pow(s->beta2, t))) + s->epsilon);
}

static double rmsprop(const qn_optimizer_spec *s, double p, double g, memory *m, int t) {
    (void)t;
    m->first = s->alpha * m->first + (1 - s->alpha) * g * g;
    const double d = g / (sqrt(m->first) + s->epsilon);
    m->second = s->momentum * m->second + d;
    return p - s->lr * m->second;
}

static double adadelta(const qn_optimizer_spec *s, double p, double g, memory *m, int t) {
    (void)t;
    m->first = s->rho * m->first + (1 - s->rho) * g * g;
    const double d = sqrt(m->second + s->epsilon) / sqrt(m->first + s->epsilon) * g;
    m->second = s->rho * m->second + (1 - s->rho) * d * d;
    return p - s->lr * d;
}

/* Trains the problem by the library and by hand, side by side. */
static void compare(qn_optimizer_spec spec, rule move) {
    qn_module *module = new_problem();
    qn_optimizer *optimizer = qn_optimizer_new(module, spec);
    cr_assert_not_null(optimizer, "%s", qn_context_message(ctx));
    double p[SIZE];
    memory remembered[SIZE] = {{0, 0}};
    memcpy(p, start, sizeof(p));
    for (int t = 1; t <= STEPS; t++) {
        take_step(module, optimizer);
        cr_expect_eq(qn_optimizer_steps(optimizer), t);
        for (int i = 0; i < SIZE; i++) {
            double g = 2 * curve[i] * p[i];
            if (spec.decoupled)
                p[i] -= spec.lr * spec.weight_decay * p[i];
            else
                g += spec.weight_decay * p[i];
            p[i] = move(&spec, p[i], g, &remembered[i], t);
        }
        expect_parameters(module, p);
    }
}

/* Rates that f32 cannot hold: the parameters are f64, and so is the rate that moves them. */

Test(optim, sgd_follows_its_formula) {
    compare(qn_sgd(0.1, 0), sgd);
    compare(qn_sgd(0.07, 0.9), sgd);
    qn_optimizer_spec spec = qn_sgd(0.07, 0.9);
    spec.weight_decay = 0.01;
    spec.nesterov = true;
    compare(spec, sgd);
    spec.nesterov = false;
    spec.dampening = 0.25;
    spec.decoupled = true;
    compare(spec, sgd);
}

Test(optim, adam_follows_its_formula) {
    compare(qn_adam(0.1), adam);
    compare(qn_adamw(0.1, 0.1), adam);
    qn_optimizer_spec spec = qn_adam(0.1);
    spec.weight_decay = 0.1;
    spec.beta1 = 0.5;
    spec.beta2 = 0.75;
    compare(spec, adam);
}

Test(optim, rmsprop_follows_its_formula) {
    compare(qn_rmsprop(0.03), rmsprop);
    qn_optimizer_spec spec = qn_rmsprop(0.03);
    spec.momentum = 0.5;
    spec.weight_decay = 0.1;
    compare(spec, rmsprop);
}

Test(optim, adadelta_follows_its_formula) {
    compare(qn_adadelta(1), adadelta);
    qn_optimizer_spec spec = qn_adadelta(0.7);
    spec.weight_decay = 0.1;
    compare(spec, adadelta);
}

Test(optim, defaults_are_those_of_the_papers) {
    const qn_optimizer_spec adamw = qn_adamw(0.1, 0.2), rms = qn_rmsprop(0.1),
                            delta = qn_adadelta(1);
    cr_expect(adamw.beta1 == 0.9 && adamw.beta2 == 0.999 && adamw.epsilon == 1e-8);
    cr_expect(adamw.decoupled && adamw.weight_decay == 0.2 && !qn_adam(0.1).decoupled);
    cr_expect(rms.alpha == 0.99 && rms.epsilon == 1e-8);
    cr_expect(delta.rho == 0.9 && delta.epsilon == 1e-6);
}

/* One step of each rule on [3, 4], the gradient laid by rows or by columns; what comes of p and its
 * two states. */
static void step_by_hand(int which, bool by_columns, float *result) {
    qn_context_seed(ctx, 5);
    qn_tensor *in[4], *hyper = qn_ones(ctx, QN_F32, QN_SHAPE(QN_HYPER_COUNT));
    for (int i = 0; i < 4; i++)
        in[i] = qn_uniform(ctx, QN_F32, QN_SHAPE(3, 4), 0.5, 2);
    if (by_columns)
        in[1] = qn_transpose(qn_contiguous(qn_transpose(in[1], 0, 1)), 0, 1);
    const qn_optimizer_spec specs[] = {qn_adam(1), qn_rmsprop(1), qn_adadelta(1)};
    qn_status (*const steps[])(qn_tensor *, qn_tensor *, qn_tensor *, qn_tensor *, qn_tensor *,
                               qn_tensor *, const qn_optimizer_spec *) = {
        qn_adam_step, qn_rmsprop_step, qn_adadelta_step};
    cr_assert_eq(steps[which](in[0], in[1], in[2], in[3], hyper, NULL, &specs[which]), QN_OK, "%s",
                 qn_context_message(ctx));
    qn_tensor *after = qn_stack((qn_tensor *[]){in[0], in[2], in[3]}, 3, 0);
    cr_assert_eq(qn_tensor_read(after, result, 36 * sizeof(*result)), QN_OK);
}

Test(optim, a_step_takes_a_gradient_of_any_layout) {
    for (int which = 0; which < 3; which++) {
        float rows[36], columns[36];
        step_by_hand(which, false, rows);
        step_by_hand(which, true, columns);
        for (int i = 0; i < 36; i++)
            cr_expect_float_eq(rows[i], columns[i], 1e-6, "rule %d, element %d", which, i);
    }
}

Test(optim, an_optimizer_learns_in_f32) {
    qn_module *net = qn_nn_linear(ctx, 1, 1, NULL);
    qn_optimizer *optimizer = qn_optimizer_new(net, qn_sgd(0.1, 0.9));
    double loss = 1;
    for (int step = 0; step < 200; step++) {
        qn_tensor *x = qn_from_data(ctx, QN_F32, QN_SHAPE(2, 1), (float[]){-1, 2});
        qn_tensor *y = qn_from_data(ctx, QN_F32, QN_SHAPE(2, 1), (float[]){-2, 7});
        qn_tensor *error = qn_mse(qn_forward(net, x), y);
        qn_backward(error);
        cr_assert_eq(qn_optimizer_step(optimizer), QN_OK, "%s", qn_context_message(ctx));
        loss = qn_item(error);
        qn_step_end(ctx);
    }
    cr_expect_lt(loss, 1e-6);
    cr_expect_float_eq(qn_item(qn_module_find(net, "weight")), 3, 1e-3);
}

/* ---- clipping ---------------------------------------------------------------------------- */

Test(optim, clipping_by_value_bounds_each_element) {
    qn_optimizer_spec spec = qn_sgd(1, 0);
    spec.clip_value = 1.5;
    qn_module *module = new_problem();
    take_step(module, qn_optimizer_new(module, spec));
    /* Gradients 1, -6, 2 become 1, -1.5, 1.5. */
    expect_parameters(module, (double[]){0, 3.5, -1.25});
}

Test(optim, clipping_by_norm_scales_all_elements) {
    qn_optimizer_spec spec = qn_sgd(1, 0);
    spec.clip_norm = 3;
    qn_module *module = new_problem();
    qn_optimizer *optimizer = qn_optimizer_new(module, spec);
    take_step(module, optimizer);
    const double norm = sqrt(2 * (1 + 36 + 4)), factor = 3 / (norm + 1e-6);
    double p[SIZE];
    cr_assert_eq(qn_tensor_read(qn_module_find(module, "a"), p, sizeof(p)), QN_OK);
    for (int i = 0; i < SIZE; i++)
        cr_expect_float_eq(p[i], start[i] - factor * 2 * curve[i] * start[i], 1e-14);

    spec.clip_norm = 1000;
    module = new_problem();
    take_step(module, qn_optimizer_new(module, spec));
    expect_parameters(module, (double[]){0, 8, -1.75});
}

Test(optim, both_clippings_go_value_first) {
    qn_optimizer_spec spec = qn_sgd(1, 0);
    spec.clip_value = 1;
    spec.clip_norm = 0.5;
    qn_module *module = new_problem();
    take_step(module, qn_optimizer_new(module, spec));
    double p[SIZE];
    cr_assert_eq(qn_tensor_read(qn_module_find(module, "b"), p, sizeof(p)), QN_OK);
    for (int i = 0; i < SIZE; i++)
        cr_expect_float_eq(p[i], start[i] - copysign(0.5 / (sqrt(6) + 1e-6), curve[i]), 1e-14);
}

Test(optim, a_scaled_loss_clips_as_finely) {
    qn_optimizer_spec spec = qn_sgd(1, 0);
    spec.clip_norm = 3;
    spec.loss_scale = 4096;
    qn_module *module = new_problem();
    qn_optimizer *optimizer = qn_optimizer_new(module, spec);
    qn_tensor *x = qn_from_data(ctx, QN_F64, QN_SHAPE(SIZE), curve);
    qn_tensor *loss = qn_optimizer_scale_loss(optimizer, qn_forward(module, x));
    cr_assert_eq(qn_backward(loss), QN_OK, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_optimizer_step(optimizer), QN_OK, "%s", qn_context_message(ctx));
    const double factor = 3 / (sqrt(2 * (1 + 36 + 4)) + 1e-6);
    double p[SIZE];
    cr_assert_eq(qn_tensor_read(qn_module_find(module, "a"), p, sizeof(p)), QN_OK);
    for (int i = 0; i < SIZE; i++)
        cr_expect_float_eq(p[i], start[i] - factor * 2 * curve[i] * start[i], 1e-14);
}

/* ---- what an optimizer is ---------------------------------------------------------------- */

static void expect_state(qn_optimizer_spec spec, const char *first, const char *second) {
    qn_module *module = new_problem();
    qn_optimizer *optimizer = qn_optimizer_new(module, spec);
    const char *const names[] = {first, second, NULL};
    for (int i = 0; i < 3; i++) {
        qn_named_tensor tensor = qn_optimizer_tensor(optimizer, i);
        if (!names[i]) {
            cr_expect_eq(qn_optimizer_tensor_count(optimizer), i);
            cr_expect_null(tensor.name);
            break;
        }
        cr_expect_str_eq(tensor.name, names[i]);
        cr_expect_eq(qn_tensor_dtype(tensor.tensor), QN_F64);
        cr_expect_eq(qn_tensor_count(tensor.tensor),
                     qn_tensor_count(qn_module_flat_parameters(module)));
    }
}

Test(optim, state_has_the_names_of_the_field) {
    expect_state(qn_sgd(0.1, 0), NULL, NULL);
    expect_state(qn_sgd(0.1, 0.9), "momentum", NULL);
    expect_state(qn_adam(0.1), "exp_avg", "exp_avg_sq");
    expect_state(qn_rmsprop(0.1), "square_avg", NULL);
    qn_optimizer_spec spec = qn_rmsprop(0.1);
    spec.momentum = 0.9;
    expect_state(spec, "square_avg", "momentum");
    expect_state(qn_adadelta(0.1), "square_avg", "acc_delta");
}

Test(optim, a_restored_optimizer_goes_on_as_before) {
    qn_module *module = new_problem(), *copy = new_problem();
    qn_optimizer *optimizer = qn_optimizer_new(module, qn_adam(0.125));
    for (int step = 0; step < 3; step++)
        take_step(module, optimizer);
    qn_optimizer *restored = qn_optimizer_new(copy, qn_adam(0.125));
    qn_copy(qn_module_flat_parameters(copy), qn_module_flat_parameters(module));
    for (int i = 0; i < qn_optimizer_tensor_count(optimizer); i++)
        qn_copy(qn_optimizer_tensor(restored, i).tensor, qn_optimizer_tensor(optimizer, i).tensor);
    qn_optimizer_set_steps(restored, qn_optimizer_steps(optimizer));
    take_step(module, optimizer);
    take_step(copy, restored);
    double p[2][SIZE];
    qn_tensor_read(qn_module_find(module, "a"), p[0], sizeof(p[0]));
    qn_tensor_read(qn_module_find(copy, "a"), p[1], sizeof(p[1]));
    cr_expect_arr_eq(p[0], p[1], sizeof(p[0]));
}

Test(optim, gradients_are_forgotten_after_a_step) {
    qn_module *module = new_problem();
    qn_optimizer *optimizer = qn_optimizer_new(module, qn_sgd(0.125, 0));
    take_step(module, optimizer);
    cr_expect_null(qn_grad(qn_module_find(module, "a")));
    double before[SIZE];
    qn_tensor_read(qn_module_find(module, "a"), before, sizeof(before));
    cr_assert_eq(qn_optimizer_step(optimizer), QN_OK);
    expect_parameters(module, before);
}

Test(optim, after_a_failure_nothing_moves) {
    qn_module *module = new_problem();
    qn_optimizer *optimizer = qn_optimizer_new(module, qn_sgd(0.125, 0));
    backward(module);
    qn_context_fail(ctx, QN_IO_ERROR, "no more data");
    cr_expect_eq(qn_optimizer_step(optimizer), QN_IO_ERROR);
    qn_context_clear_error(ctx);
    expect_parameters(module, start);
    cr_expect_eq(qn_optimizer_steps(optimizer), 0);
    cr_expect_eq(qn_optimizer_step(optimizer), QN_OK);
    cr_expect_eq(qn_optimizer_steps(optimizer), 1);
}

Test(optim, parameters_that_were_moved_are_noticed) {
    qn_module *module = new_problem(), *around = qn_nn_sequential(ctx, module, NULL);
    qn_optimizer *optimizer = qn_optimizer_new(module, qn_sgd(0.125, 0));
    cr_assert_not_null(qn_optimizer_new(around, qn_sgd(0.125, 0)));
    cr_expect_eq(qn_optimizer_step(optimizer), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "sgd: the parameters of problem have changed");
    cr_expect_null(qn_optimizer_new(qn_nn_relu(ctx), qn_adam(0.1)));
    expect_error(QN_INVALID_ARGUMENT, "relu: has no parameters");
}

Test(optim, optimizers_may_be_freed_in_any_order) {
    qn_module *module = new_problem();
    qn_optimizer *optimizer = qn_optimizer_new(module, qn_adam(0.1));
    qn_scheduler *scheduler = qn_scheduler_new(optimizer, qn_schedule_one_cycle(), 10, 1);
    take_step(module, optimizer);
    qn_module_free(module);
    qn_optimizer_free(optimizer);
    qn_scheduler_free(scheduler);
    module = new_problem();
    qn_scheduler_new(qn_optimizer_new(module, qn_adam(0.1)), qn_schedule_constant(), 1, 1);
    qn_optimizer_free(NULL);
    qn_scheduler_free(NULL);
    cr_expect_null(qn_optimizer_new(NULL, qn_adam(0.1)));
    cr_expect_null(qn_scheduler_new(NULL, qn_schedule_constant(), 1, 1));
    cr_expect_eq(qn_optimizer_step(NULL), QN_INVALID_ARGUMENT);
}

static void refuse(qn_optimizer_spec spec, const char *words) {
    cr_expect_null(qn_optimizer_new(new_problem(), spec));
    expect_error(QN_INVALID_ARGUMENT, words);
}

Test(optim, settings_out_of_range_are_named) {
    refuse(qn_adam(0), "adam: lr must be above 0, got 0");
    refuse(qn_sgd(NAN, 0), "sgd: lr must be above 0, got nan");
    refuse(qn_sgd(INFINITY, 0), "sgd: lr must be above 0, got inf");
    refuse(qn_sgd(0.1, 1), "sgd: momentum must be in [0, 1), got 1");
    refuse(qn_adamw(0.1, -1), "adamw: weight_decay must be at least 0, got -1");
    qn_optimizer_spec spec = qn_adam(0.1);
    spec.beta2 = 1;
    refuse(spec, "adam: beta2 must be in [0, 1), got 1");
    refuse((qn_optimizer_spec){.kind = qn_optimizer_find("adam"), .lr = 0.1},
           "adam: epsilon must be above 0");
    refuse((qn_optimizer_spec){.lr = 0.1}, "optimizer: no kind is given");
    spec = qn_rmsprop(0.1);
    spec.alpha = -0.5;
    refuse(spec, "rmsprop: alpha must be in [0, 1), got -0.5");
    spec = qn_adadelta(0.1);
    spec.clip_norm = NAN;
    refuse(spec, "adadelta: clip_norm must be at least 0, got nan");
    spec = qn_sgd(0.1, 0);
    spec.nesterov = true;
    refuse(spec, "sgd: nesterov needs momentum above 0");
    const qn_optimizer_kind nothing = {.name = "nothing"};
    spec.kind = &nothing;
    refuse(spec, "optimizer: kind 'nothing' needs a name and a step");

    qn_optimizer *optimizer = qn_optimizer_new(new_problem(), qn_sgd(0.1, 0));
    qn_optimizer_set_lr(optimizer, -1);
    expect_error(QN_INVALID_ARGUMENT, "sgd: lr must be at least 0, got -1");
    cr_expect_eq(qn_optimizer_lr(optimizer), 0.1);
    qn_optimizer_set_steps(optimizer, -1);
    expect_error(QN_INVALID_ARGUMENT, "sgd: steps must be at least 0, got -1");
}

/* A checkpoint may say so. */
Test(optim, steps_are_counted_to_their_end_and_no_further) {
    qn_module *problem = new_problem();
    qn_optimizer *optimizer = qn_optimizer_new(problem, qn_adam(0.1));
    qn_optimizer_set_steps(optimizer, INT64_MAX - 1);
    for (int step = 0; step < 2; step++) {
        take_step(problem, optimizer);
        cr_expect_eq(qn_optimizer_steps(optimizer), INT64_MAX);
    }
}

/* ---- schedules --------------------------------------------------------------------------- */

static const double RATE = 0.5;

static qn_scheduler *new_scheduler(qn_schedule schedule, int64_t steps_per_epoch, int epochs,
                                   qn_optimizer **optimizer) {
    *optimizer = qn_optimizer_new(new_problem(), qn_sgd(RATE, 0));
    qn_scheduler *scheduler = qn_scheduler_new(*optimizer, schedule, steps_per_epoch, epochs);
    cr_assert_not_null(scheduler, "%s", qn_context_message(ctx));
    return scheduler;
}

/* The rate of the step that follows `step` others, as a multiple of the reference. */
static double multiple_at(qn_scheduler *scheduler, qn_optimizer *optimizer, int64_t step) {
    qn_optimizer_set_steps(optimizer, step);
    qn_scheduler_step(scheduler);
    cr_assert_eq(qn_context_error(ctx, stderr), QN_OK);
    return qn_optimizer_lr(optimizer) / RATE;
}

static void expect_multiples(qn_schedule schedule, int64_t steps_per_epoch, int epochs,
                             const double *expected, int count) {
    qn_optimizer *optimizer;
    qn_scheduler *scheduler = new_scheduler(schedule, steps_per_epoch, epochs, &optimizer);
    for (int i = 0; i < count; i++)
        cr_expect_float_eq(multiple_at(scheduler, optimizer, i), expected[i], 1e-12, "step %d: %g",
                           i, qn_optimizer_lr(optimizer) / RATE);
    /* The same without what came before. */
    cr_expect_float_eq(multiple_at(scheduler, optimizer, 1), expected[1], 1e-12);
}

Test(optim, constant_and_step_schedules) {
    expect_multiples(qn_schedule_constant(), 2, 2, (double[]){1, 1, 1, 1, 1}, 5);
    expect_multiples(qn_schedule_step(1, 0.5), 2, 3, (double[]){1, 1, 0.5, 0.5, 0.25, 0.25}, 6);
    qn_schedule delayed = qn_schedule_step(1, 0.5);
    delayed.delay = 1.5;
    expect_multiples(delayed, 2, 4, (double[]){1, 1, 1, 1, 1, 0.5, 0.5, 0.25}, 8);
    /* 0.07 * 100 is a little above 7 in floating point; the drop still comes after 7 steps. */
    expect_multiples(qn_schedule_step(0.07, 0.1), 100, 1, (double[]){1, 1, 1, 1, 1, 1, 1, 0.1}, 8);
}

Test(optim, warm_up_goes_before_any_schedule) {
    qn_schedule schedule = qn_schedule_step(1, 0.5);
    schedule.warmup = 2;
    expect_multiples(schedule, 2, 4, (double[]){0.25, 0.5, 0.75, 1, 1, 1, 0.5, 0.5}, 8);
    schedule = qn_schedule_cosine(0);
    schedule.warmup = 0.5;
    expect_multiples(schedule, 4, 1, (double[]){0.5, 1, 1, 0.5, 0}, 5);
}

Test(optim, cosine_schedule) {
    const double half = sqrt(0.5);
    expect_multiples(qn_schedule_cosine(0), 2, 2,
                     (double[]){1, (1 + half) / 2, 0.5, (1 - half) / 2, 0, 0}, 6);
    expect_multiples(qn_schedule_cosine(0.2), 2, 1, (double[]){1, 0.6, 0.2}, 3);
}

Test(optim, one_cycle_schedule) {
    /* 10 steps: the top is at step 0.3 * 10 - 1 = 2, the end at step 9. */
    const double low = 1.0 / 25, end = 1.0 / 250000;
    qn_optimizer *optimizer;
    qn_scheduler *scheduler = new_scheduler(qn_schedule_one_cycle(), 5, 2, &optimizer);
    cr_expect_float_eq(multiple_at(scheduler, optimizer, 0), low, 1e-12);
    cr_expect_float_eq(multiple_at(scheduler, optimizer, 1), (1 + low) / 2, 1e-12);
    cr_expect_float_eq(multiple_at(scheduler, optimizer, 2), 1, 1e-12);
    cr_expect_float_eq(multiple_at(scheduler, optimizer, 5),
                       end + (1 - end) * (1 + cos(acos(-1.0) * 3 / 7)) / 2, 1e-12);
    cr_expect_float_eq(multiple_at(scheduler, optimizer, 9), end, 1e-12);
    cr_expect_float_eq(multiple_at(scheduler, optimizer, 20), end, 1e-12);
    scheduler = new_scheduler(qn_schedule_one_cycle(), 1, 1, &optimizer);
    cr_expect_float_eq(multiple_at(scheduler, optimizer, 0), 1, 1e-12);
}

Test(optim, plateau_schedule_drops_when_patience_ends) {
    qn_schedule schedule = qn_schedule_plateau(0.5, 1);
    schedule.minimum = 0.2;
    qn_optimizer *optimizer;
    qn_scheduler *scheduler = new_scheduler(schedule, 1, 20, &optimizer);
    const double metrics[] = {3, 2, 2, 2.5, 1, NAN, 1, 1, 1, 1, 1};
    const double expected[] = {1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2};
    for (int i = 0; i < 11; i++) {
        qn_scheduler_metric(scheduler, metrics[i]);
        cr_expect_float_eq(multiple_at(scheduler, optimizer, i), expected[i], 1e-12, "epoch %d", i);
    }
    qn_scheduler *resumed = new_scheduler(schedule, 1, 20, &optimizer);
    cr_expect(isinf(qn_scheduler_get(resumed).best));
    qn_scheduler_set(resumed, qn_scheduler_get(scheduler));
    cr_expect_eq(qn_scheduler_get(resumed).best, 1);
    cr_expect_float_eq(multiple_at(resumed, optimizer, 3), 0.2, 1e-12);
}

static void refuse_schedule(qn_schedule schedule, int64_t steps, int epochs, const char *words) {
    qn_optimizer *optimizer = qn_optimizer_new(new_problem(), qn_sgd(RATE, 0));
    cr_expect_null(qn_scheduler_new(optimizer, schedule, steps, epochs));
    expect_error(QN_INVALID_ARGUMENT, words);
}

Test(optim, schedules_out_of_range_are_refused) {
    refuse_schedule(qn_schedule_step(0, 0.5), 1, 1, "schedule: period must be above 0");
    qn_schedule delayed = qn_schedule_step(1, 0.5);
    delayed.delay = -1;
    refuse_schedule(delayed, 1, 1, "schedule: delay must be at least 0");
    refuse_schedule(qn_schedule_step(1, 2), 1, 1, "schedule: factor must be in [0, 1]");
    refuse_schedule(qn_schedule_cosine(NAN), 1, 1, "schedule: final must be in [0, 1]");
    refuse_schedule(qn_schedule_plateau(0.5, -1), 1, 1, "schedule: patience must be at least 0");
    refuse_schedule(qn_schedule_constant(), 0, 1, "schedule: needs at least one step");
    refuse_schedule((qn_schedule){.warmup = -1}, 1, 1, "schedule: warmup must be at least 0");
    refuse_schedule((qn_schedule){.kind = &(qn_schedule_kind){.name = "nothing"}}, 1, 1,
                    "schedule: kind 'nothing' needs a name and a rate");
    qn_schedule schedule = qn_schedule_one_cycle();
    schedule.rise = -0.5;
    refuse_schedule(schedule, 1, 1, "schedule: rise must be in [0, 1]");
}
