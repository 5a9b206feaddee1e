/* test_plan_switch.c: a step that does something else when modules train than when they do not has
 * a recording for each. */
#include "with_context.h"

enum { WIDTH = 64, RUNS = 16 };

TestSuite(plan_switch, .init = open_context, .fini = close_context);

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

Test(plan_switch, dropout_is_not_replayed_in_evaluation) {
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
                  6); /* the net's switch and the inner one's differ */
}

Test(plan_switch, recordings_wait_until_a_switch_is_as_it_was) {
    qn_module *net = qn_nn_sequential(ctx, qn_nn_dropout(ctx, 0.5), NULL);
    qn_plan *plan = qn_plan_new(ctx, forward, net);
    for (int i = 0; i < RUNS; i++) {
        qn_module_train(net, i % 2 == 0);
        cr_expect_eq(zeros_of(plan) > 0, i % 2 == 0, "run %d", i);
    }
    cr_expect_eq(qn_plan_stats(plan).recorded, 4); /* two for each */
    cr_expect_eq(qn_plan_stats(plan).replayed, RUNS - 5);
}

typedef struct two_factors {
    qn_tensor *first, *second; /* kept */
} two_factors;

static qn_status differentiate(void *data, qn_tensor *const *in, qn_tensor **out) {
    const two_factors *f = data;
    out[0] = qn_sum(qn_mul(qn_mul(in[0], f->first), f->second), QN_ALL, false);
    return qn_backward(out[0]);
}

Test(plan_switch, a_tensor_asked_for_its_gradient_later_gets_it) {
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

Test(plan_switch, a_program_has_switches_of_its_own) {
    double factor = 1;
    qn_plan *plan = qn_plan_new(ctx, scaled, &factor);
    for (int i = 0; i < RUNS; i++) {
        if (i % 5 == 4) {
            factor = 1 - factor;
            qn_plan_switch(ctx, &factor);
        }
        cr_expect_eq(zeros_of(plan), factor == 0 ? WIDTH : 0, "run %d", i);
    }
    cr_expect_eq(qn_plan_stats(plan).recorded, 4);
    qn_plan_switch(NULL, &factor);
}
