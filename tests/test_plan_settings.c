/* test_plan_settings.c: a step that does something else when a setting of the host's is another has
 * a recording for each: modules that train or do not, limits, children, gradients asked for. */
#include <math.h>

#include "with_context.h"

enum { WIDTH = 64, RUNS = 16 };

TestSuite(plan_settings, .init = open_context, .fini = close_context);

static qn_status forward(void *data, qn_tensor *const *in, qn_tensor **out) {
    out[0] = qn_forward(data, in[0]);
    return qn_context_error(ctx, NULL);
}

/** How many of a step's results are 0. */
static int zeros_of(qn_plan *plan) {
    float values[WIDTH];
    qn_tensor *x = qn_ones(ctx, QN_F32, QN_SHAPE(1, WIDTH)), *y;
    cr_assert_eq(qn_plan_run(plan, &x, 1, &y, 1), QN_OK, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_tensor_read(y, values, sizeof(values)), QN_OK);
    qn_step_end(ctx);
    int zeros = 0;
    for (int i = 0; i < WIDTH; i++)
        zeros += values[i] == 0;
    return zeros;
}

Test(plan_settings, dropout_is_not_replayed_in_evaluation) {
    qn_module *inner = qn_nn_dropout(ctx, 0.5), *net = qn_nn_sequential(ctx, inner, NULL);
    qn_plan *plan = qn_plan_new(ctx, forward, net);
    for (int i = 0; i < RUNS; i++) {
        const bool training = i % 8 < 4;
        qn_module_train(i < 8 ? net : inner, training);
        const int zeros = zeros_of(plan);
        cr_expect(training ? zeros > 0 : zeros == 0, "run %d, training %d: %d zeros", i, training,
                  zeros);
    }
    cr_expect_geq(qn_plan_stats(plan).replayed, 4);
    cr_expect_leq(qn_plan_stats(plan).recorded,
                  6); /* the net's setting and the inner one's differ */
}

Test(plan_settings, recordings_wait_until_a_setting_is_as_it_was) {
    qn_module *net = qn_nn_sequential(ctx, qn_nn_dropout(ctx, 0.5), NULL);
    qn_plan *plan = qn_plan_new(ctx, forward, net);
    for (int i = 0; i < RUNS; i++) {
        qn_module_train(net, i % 2 == 0);
        cr_expect_eq(zeros_of(plan) > 0, i % 2 == 0, "run %d", i);
    }
    cr_expect_eq(qn_plan_stats(plan).recorded, 4); /* two for each */
    cr_expect_eq(qn_plan_stats(plan).replayed, RUNS - 5);
}

static qn_status limit(void *data, qn_tensor *const *in, qn_tensor **out) {
    qn_module *net = data;
    out[0] = qn_forward(net, in[0]);
    return qn_module_apply_limits(net);
}

/** The largest norm of a layer's rows after a run, whose weights are ones before it. */
static double norm_after(qn_plan *plan, qn_tensor *weight) {
    qn_tensor *x = qn_ones(ctx, QN_F32, QN_SHAPE(1, WIDTH)), *y;
    qn_fill(weight, 1);
    cr_assert_eq(qn_plan_run(plan, &x, 1, &y, 1), QN_OK, "%s", qn_context_message(ctx));
    const double square = qn_item(qn_square_sum(qn_slice(weight, 0, 0, 1)));
    qn_step_end(ctx);
    return sqrt(square);
}

Test(plan_settings, limits_are_those_of_now) {
    qn_module *net = qn_nn_sequential(ctx, qn_nn_linear(ctx, WIDTH, WIDTH, NULL), NULL);
    qn_plan *plan = qn_plan_new(ctx, limit, net);
    for (int i = 0; i < RUNS; i++) {
        const double most = i < 5 ? 2 : i < 10 ? 3 : 0;
        qn_module_limit_norm(net, "0.weight", most);
        cr_expect_float_eq(norm_after(plan, qn_module_find(net, "0.weight")), most > 0 ? most : 8,
                           1e-4, "run %d", i);
    }
    cr_expect_geq(qn_plan_stats(plan).replayed, RUNS - 7);
}

Test(plan_settings, a_child_that_is_added_runs) {
    qn_module *net = qn_nn_sequential(ctx, qn_nn_relu(ctx), NULL);
    qn_plan *plan = qn_plan_new(ctx, forward, net);
    for (int i = 0; i < RUNS; i++) {
        if (i == RUNS / 2)
            qn_module_add_child(net, "1", qn_nn_dropout(ctx, 0.5));
        cr_expect_eq(zeros_of(plan) > 0, i >= RUNS / 2, "run %d", i);
    }
}

typedef struct two_factors {
    qn_tensor *first, *second; /* kept */
} two_factors;

static qn_status differentiate(void *data, qn_tensor *const *in, qn_tensor **out) {
    const two_factors *f = data;
    out[0] = qn_sum(qn_mul(qn_mul(in[0], f->first), f->second), QN_ALL, false);
    return qn_backward(out[0]);
}

Test(plan_settings, a_tensor_asked_for_its_gradient_later_gets_it) {
    two_factors f = {.first = qn_require_grad(qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(1, WIDTH)))),
                     .second = qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(1, WIDTH)))};
    qn_plan *plan = qn_plan_new(ctx, differentiate, &f);
    for (int i = 0; i < RUNS; i++) {
        qn_tensor *x = qn_ones(ctx, QN_F32, QN_SHAPE(1, WIDTH)), *loss;
        if (i == RUNS / 2)
            qn_require_grad(f.second);
        cr_assert_eq(qn_plan_run(plan, &x, 1, &loss, 1), QN_OK, "%s", qn_context_message(ctx));
        cr_expect_not_null(qn_grad(f.first));
        cr_expect_eq(qn_grad(f.second) != NULL, i >= RUNS / 2, "run %d", i);
        qn_zero_grad(f.first);
        qn_zero_grad(f.second);
        qn_step_end(ctx);
    }
    cr_expect_gt(qn_plan_stats(plan).replayed, RUNS / 2);
}

static qn_status scaled(void *data, qn_tensor *const *in, qn_tensor **out) {
    out[0] = qn_affine(in[0], *(const double *)data, 0);
    return QN_OK;
}

Test(plan_settings, a_program_has_settings_of_its_own) {
    double factor = 1;
    qn_plan *plan = qn_plan_new(ctx, scaled, &factor);
    for (int i = 0; i < RUNS; i++) {
        if (i % 5 == 4) {
            qn_plan_setting(ctx, &factor, (uint64_t)factor, (uint64_t)(1 - factor));
            factor = 1 - factor;
        }
        cr_expect_eq(zeros_of(plan), factor == 0 ? WIDTH : 0, "run %d", i);
    }
    cr_expect_eq(qn_plan_stats(plan).recorded, 4);
    qn_plan_setting(NULL, &factor, 0, 1);
}
