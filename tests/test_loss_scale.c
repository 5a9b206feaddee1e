/* test_loss_scale.c: scaled losses: the same training to the bit, steps left out after an overflow,
 * the way of the factor. */
#include <math.h>

#include <criterion/criterion.h>

#include "fit_task.h"

enum { SIZE = 3, GROWTH = 3 };

TestSuite(loss_scale, .init = scratch_open, .fini = scratch_close);

/* ---- the update alone -------------------------------------------------------------------- */

/* What an update leaves. */
typedef struct updated {
    double hyper[QN_HYPER_COUNT];
    float scale[2];
} updated;

static updated update(double square_sum, const float scale[2], double max_norm) {
    const double hyper[QN_HYPER_COUNT] = {[QN_HYPER_CLIP] = 1};
    qn_tensor *sum = qn_from_data(ctx, QN_F64, QN_SCALAR, &square_sum);
    qn_tensor *h = qn_from_data(ctx, QN_F64, QN_SHAPE(QN_HYPER_COUNT), hyper);
    qn_tensor *s = qn_from_data(ctx, QN_F32, QN_SHAPE(2), scale);
    updated u;
    cr_assert_eq(qn_loss_scale_update(sum, h, s, max_norm, GROWTH), QN_OK, "%s",
                 qn_context_message(ctx));
    qn_tensor_read(h, u.hyper, sizeof(u.hyper));
    qn_tensor_read(s, u.scale, sizeof(u.scale));
    return u;
}

static void expect_update(double square_sum, const float scale[2], double max_norm,
                          const updated *expected) {
    const updated got = update(square_sum, scale, max_norm);
    cr_expect_float_eq(got.hyper[QN_HYPER_CLIP], expected->hyper[QN_HYPER_CLIP], 1e-7);
    cr_expect_eq(got.hyper[QN_HYPER_SKIP], expected->hyper[QN_HYPER_SKIP]);
    cr_expect(got.scale[0] == expected->scale[0] && got.scale[1] == expected->scale[1],
              "scale %g, %g, not %g, %g", got.scale[0], got.scale[1], expected->scale[0],
              expected->scale[1]);
}

Test(loss_scale, the_factor_takes_the_scale_out) {
    expect_update(64, (float[]){8, 0}, 0, &(updated){{0, 0, 0.125f, 0}, {8, 1}});
    /* The norm is 8 / 4 = 2. */
    expect_update(64, (float[]){4, 1}, 5, &(updated){{0, 0, 0.25f, 0}, {4, 2}});
    expect_update(64, (float[]){4, 1}, 0.5, &(updated){{0, 0, 0.0625f, 0}, {4, 2}});
}

Test(loss_scale, it_doubles_after_good_steps_up_to_a_limit) {
    expect_update(1, (float[]){8, 1}, 0, &(updated){{0, 0, 0.125f, 0}, {8, 2}});
    expect_update(1, (float[]){8, 2}, 0, &(updated){{0, 0, 0.125f, 0}, {16, 0}});
    const float most = 1 << 24;
    expect_update(1, (float[]){most, 2}, 0, &(updated){{0, 0, 1 / most, 0}, {most, 0}});
}

Test(loss_scale, it_halves_where_the_norm_is_not_finite_down_to_one) {
    expect_update(INFINITY, (float[]){8, 2}, 0, &(updated){{0, 0, 1, 1}, {4, 0}});
    expect_update(NAN, (float[]){8, 2}, 5, &(updated){{0, 0, 1, 1}, {4, 0}});
    expect_update(NAN, (float[]){1.5f, 0}, 0, &(updated){{0, 0, 1, 1}, {1, 0}});
}

Test(loss_scale, settings_out_of_range_are_refused) {
    qn_tensor *sum = qn_zeros(ctx, QN_F32, QN_SCALAR);
    qn_tensor *hyper = qn_zeros(ctx, QN_F32, QN_SHAPE(QN_HYPER_COUNT));
    qn_tensor *scale = qn_zeros(ctx, QN_F32, QN_SHAPE(2));
    cr_expect_neq(qn_loss_scale_update(sum, hyper, scale, -1, GROWTH), QN_OK);
    expect_error(QN_INVALID_ARGUMENT, "got -1 and 3");
    cr_expect_neq(qn_loss_scale_update(sum, hyper, scale, 0, 0), QN_OK);
    expect_error(QN_INVALID_ARGUMENT, "got 0 and 0");
    cr_expect_neq(qn_loss_scale_update(sum, hyper, hyper, 0, GROWTH), QN_OK);
    expect_error(QN_SHAPE_MISMATCH, "loss_scale_update");
    qn_optimizer_spec spec = qn_sgd(0.1, 0);
    spec.loss_scale = 8;
    spec.clip_value = 1;
    cr_expect_null(qn_optimizer_new(qn_nn_linear(ctx, 1, 1, NULL), spec));
    expect_error(QN_INVALID_ARGUMENT, "sgd: clip_value would clamp");
    spec.loss_scale = -8;
    cr_expect_null(qn_optimizer_new(qn_nn_linear(ctx, 1, 1, NULL), spec));
    expect_error(QN_INVALID_ARGUMENT, "sgd: loss_scale must be at least 0, got -8");
}

/* ---- training ---------------------------------------------------------------------------- */

/* A linear layer, an optimizer over it, and a plan of its steps. */
typedef struct run {
    qn_module *net;
    qn_optimizer *optimizer;
    qn_plan *plan;
} run;

/* loss = sum of squares of what the layer says of in[0]. */
static qn_status step(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)out;
    const run *r = data;
    qn_tensor *y = qn_forward(r->net, in[0]);
    qn_tensor *loss = qn_sum(qn_mul(y, y), QN_ALL, false);
    const qn_status status = qn_backward(qn_optimizer_scale_loss(r->optimizer, loss));
    return status != QN_OK ? status : qn_optimizer_step(r->optimizer);
}

static run new_run(qn_optimizer_spec spec, double loss_scale) {
    run r = {.net = qn_nn_linear(ctx, SIZE, 2, NULL)};
    spec.loss_scale = loss_scale;
    qn_copy(qn_module_find(r.net, "weight"),
            qn_from_data(ctx, QN_F32, QN_SHAPE(2, SIZE), (float[]){1, -2, 0.3f, 0.7f, 5, -0.1f}));
    qn_copy(qn_module_find(r.net, "bias"),
            qn_from_data(ctx, QN_F32, QN_SHAPE(2), (float[]){0.5f, -3}));
    r.optimizer = qn_optimizer_new(r.net, spec);
    cr_assert_not_null(r.optimizer, "%s", qn_context_message(ctx));
    return r;
}

static void take_step(run *r, bool planned, float x) {
    qn_tensor *in = qn_from_data(ctx, QN_F32, QN_SHAPE(1, SIZE), (float[]){x, 0.3f * x, -x});
    if (planned && !r->plan)
        r->plan = qn_plan_new(ctx, step, r);
    const qn_status status = planned ? qn_plan_run(r->plan, &in, 1, NULL, 0) : step(r, &in, NULL);
    cr_assert_eq(status, QN_OK, "%s", qn_context_message(ctx));
    qn_step_end(ctx);
}

static void expect_same(const run *a, const run *b, const char *what) {
    enum { PARAMETERS = 2 * SIZE };
    float p[2][PARAMETERS];
    cr_assert_eq(qn_tensor_read(qn_module_find(a->net, "weight"), p[0], sizeof(p[0])), QN_OK);
    cr_assert_eq(qn_tensor_read(qn_module_find(b->net, "weight"), p[1], sizeof(p[1])), QN_OK);
    for (int i = 0; i < PARAMETERS; i++)
        cr_expect(p[0][i] == p[1][i], "%s: weight %d is %.9g and %.9g", what, i, p[0][i], p[1][i]);
}

static float scale_of(const run *r) {
    float scale[2] = {0};
    for (int i = 0; i < qn_optimizer_tensor_count(r->optimizer); i++)
        if (strcmp(qn_optimizer_tensor(r->optimizer, i).name, "loss_scale") == 0)
            qn_tensor_read(qn_optimizer_tensor(r->optimizer, i).tensor, scale, sizeof(scale));
    return scale[0];
}

static const char *const names[] = {"sgd", "momentum", "adamw", "rmsprop", "adadelta", "clipped"};
enum { SPECS = sizeof(names) / sizeof(names[0]) };

static qn_optimizer_spec spec_of(int i) {
    qn_optimizer_spec clipped = qn_adam(0.01);
    clipped.clip_norm = 0.7;
    const qn_optimizer_spec specs[SPECS] = {qn_sgd(0.01, 0),     qn_sgd(0.01, 0.9),
                                            qn_adamw(0.01, 0.1), qn_rmsprop(0.01),
                                            qn_adadelta(1),      clipped};
    return specs[i];
}

/* A power of two moves exponents alone. */
Test(loss_scale, a_scaled_loss_trains_the_same_to_the_bit) {
    for (int i = 0; i < SPECS; i++) {
        run plain = new_run(spec_of(i), 0), scaled = new_run(spec_of(i), 65536);
        for (int t = 0; t < 5; t++) {
            take_step(&plain, false, 0.5f + (float)t);
            take_step(&scaled, false, 0.5f + (float)t);
        }
        expect_same(&plain, &scaled, names[i]);
        cr_expect_eq(scale_of(&scaled), 65536);
    }
}

/* Gradients of 1e30 times a scale of 2^24 overflow; without that step the runs are the same. SGD
 * without momentum knows no step numbers and no state. */
static void overflow(bool planned) {
    run plain = new_run(spec_of(0), 0), scaled = new_run(spec_of(0), 1 << 24);
    take_step(&plain, planned, 0.5f);
    take_step(&scaled, planned, 0.5f);
    take_step(&scaled, planned, 1e16f);
    expect_same(&plain, &scaled, "the step that overflows");
    cr_expect_eq(scale_of(&scaled), 1 << 23);
    for (int t = 0; t < 3; t++) {
        take_step(&plain, planned, 0.7f);
        take_step(&scaled, planned, 0.7f);
    }
    expect_same(&plain, &scaled, "the steps after it");
    cr_expect_eq(scale_of(&scaled), 1 << 23);
}

Test(loss_scale, an_overflow_leaves_its_step_out) { overflow(false); }

Test(loss_scale, an_overflow_leaves_its_step_out_of_a_plan) { overflow(true); }

/* Neither parameters nor state move, whatever the optimizer. */
Test(loss_scale, a_step_that_is_left_out_moves_nothing) {
    for (int i = 0; i < SPECS; i++) {
        run still = new_run(spec_of(i), 1 << 24), moved = new_run(spec_of(i), 1 << 24);
        take_step(&still, false, 1e16f);
        expect_same(&moved, &still, names[i]);
        for (int s = 0; s < qn_optimizer_tensor_count(still.optimizer); s++) {
            const qn_named_tensor state = qn_optimizer_tensor(still.optimizer, s);
            if (strcmp(state.name, "loss_scale") != 0)
                cr_expect_eq(qn_item(qn_square_sum(state.tensor)), 0, "%s: %s", names[i],
                             state.name);
        }
    }
}

Test(loss_scale, rows_of_a_sparse_gradient_stay_too) {
    qn_module *net = qn_nn_embedding(ctx, 4, 2, &(qn_embedding_opts){.sparse = true});
    qn_optimizer_spec spec = qn_adam(0.1);
    spec.loss_scale = 1 << 24;
    qn_optimizer *optimizer = qn_optimizer_new(net, spec);
    float before[8], after[8];
    qn_tensor_read(qn_module_find(net, "weight"), before, sizeof(before));
    qn_tensor *x = qn_from_data(ctx, QN_I64, QN_SHAPE(2), (int64_t[]){1, 3});
    qn_tensor *loss = qn_affine(qn_sum(qn_forward(net, x), QN_ALL, false), 1e35, 0);
    cr_assert_eq(qn_backward(qn_optimizer_scale_loss(optimizer, loss)), QN_OK);
    cr_assert_eq(qn_optimizer_step(optimizer), QN_OK, "%s", qn_context_message(ctx));
    qn_tensor_read(qn_module_find(net, "weight"), after, sizeof(after));
    cr_expect_arr_eq(before, after, sizeof(before));
}

Test(loss_scale, fit_with_it_is_fit_without) {
    float accuracy[2];
    double loss[2];
    for (int i = 0; i < 2; i++) {
        qn_fit_result result;
        qn_fit_opts opts = small_opts();
        opts.optimizer.loss_scale = i * 1024;
        opts.result = &result;
        cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
        loss[i] = result.train_loss;
        accuracy[i] = (float)result.validation.accuracy;
    }
    cr_expect_eq(loss[0], loss[1]);
    cr_expect_eq(accuracy[0], accuracy[1]);
}

/* Whether the state that a run leaves has a scale of losses in it. */
static bool run_scales(qn_precision precision) {
    qn_fit_opts opts = small_opts();
    opts.checkpoint = scratch_path("state.checkpoint");
    cr_assert_eq(qn_context_set_matmul_precision(ctx, precision), QN_OK);
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    size_t size;
    char *state = scratch_read(opts.checkpoint, &size);
    bool found = false;
    for (size_t i = 0; i + strlen("loss_scale") <= size; i++)
        found = found || memcmp(state + i, "loss_scale", strlen("loss_scale")) == 0;
    free(state);
    return found;
}

Test(loss_scale, fit_scales_losses_where_products_read_half_precision) {
    cr_expect(!run_scales(QN_PRECISION_F32));
    if (test_on_cpu()) { /* which has no such products */
        cr_expect_eq(qn_context_set_matmul_precision(ctx, QN_PRECISION_F16), QN_UNSUPPORTED);
        return;
    }
    cr_expect(run_scales(QN_PRECISION_F16));
}
