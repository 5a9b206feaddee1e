/* test_lifetimes.c: tensors used after they died, memory changed under a derivative, ends in the
 * wrong place: each is an error in words, never other numbers and never a crash. */
#include "with_context.h"

TestSuite(lifetimes, .init = open_context, .fini = close_context);

/* ---- dead tensors ------------------------------------------------------------------------ */

static qn_tensor *dead_tensor(void) {
    qn_tensor *dead = qn_relu(qn_full(ctx, QN_F32, QN_SHAPE(4, 4), 1));
    qn_step_end(ctx);
    return dead;
}

static void use_as_operand(qn_tensor *x) { cr_expect_null(qn_add(x, x)); }
static void use_as_view(qn_tensor *x) { cr_expect_null(qn_reshape(x, QN_SHAPE(16))); }
static void use_as_slice(qn_tensor *x) { cr_expect_null(qn_slice(x, 0, 0, 1)); }
static void use_as_product(qn_tensor *x) { cr_expect_null(qn_matmul(x, x)); }
static void use_as_sum(qn_tensor *x) { cr_expect_null(qn_sum(x, QN_ALL, false)); }
static void use_as_target(qn_tensor *x) { cr_expect_neq(qn_fill(x, 1), QN_OK); }
static void use_as_copy(qn_tensor *x) {
    cr_expect_neq(qn_copy(x, qn_ones(ctx, QN_F32, QN_SHAPE(4, 4))), QN_OK);
}
static void use_as_read(qn_tensor *x) {
    float values[16];
    cr_expect_neq(qn_tensor_read(x, values, sizeof(values)), QN_OK);
}
static void use_as_write(qn_tensor *x) {
    const float values[16] = {0};
    cr_expect_neq(qn_tensor_write(x, values, sizeof(values)), QN_OK);
}
static void use_as_kept(qn_tensor *x) { cr_expect_null(qn_keep(x)); }
static void use_as_freed(qn_tensor *x) { qn_tensor_free(x); }
static void use_as_released(qn_tensor *x) { qn_tensor_release(x); }
static void use_as_leaf(qn_tensor *x) { cr_expect_null(qn_require_grad(x)); }
static void use_as_loss(qn_tensor *x) { cr_expect_neq(qn_backward(x), QN_OK); }
static void use_as_sparse(qn_tensor *x) { cr_expect_null(qn_require_sparse_grad(x)); }

Test(lifetimes, every_use_of_a_dead_tensor_is_an_error) {
    void (*const uses[])(qn_tensor *) = {
        use_as_operand, use_as_view, use_as_slice, use_as_product, use_as_sum,
        use_as_target,  use_as_copy, use_as_read,  use_as_write,   use_as_kept,
        use_as_freed,   use_as_loss, use_as_leaf,  use_as_sparse,  use_as_released,
    };
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        qn_tensor *dead = dead_tensor();
        qn_full(ctx, QN_F32, QN_SHAPE(4, 4), 7); /* may not take the dead one's place */
        uses[i](dead);
        expect_error(QN_INVALID_ARGUMENT, "a tensor [4, 4] made by relu is gone");
    }
}

/* Steps of any size: a handle is told from what came after it for a whole step at least. */
Test(lifetimes, a_handle_from_the_step_before_is_told_from_any_tensor_of_this_one) {
    static const int sizes[] = {1, 10, 300, 2000};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        enum { MOST = 2000 };
        qn_tensor *before[MOST];
        for (int i = 0; i < sizes[s]; i++)
            before[i] = qn_full(ctx, QN_F32, QN_SHAPE(2), i);
        qn_step_end(ctx);
        for (int i = 0; i < sizes[s]; i++)
            qn_full(ctx, QN_F32, QN_SHAPE(2), -1);
        for (int i = 0; i < sizes[s]; i += 1 + sizes[s] / 10) {
            cr_expect_null(qn_neg(before[i]), "handle %d of %d", i, sizes[s]);
            expect_error(QN_INVALID_ARGUMENT, "is gone");
        }
        qn_step_end(ctx);
    }
}

/* A loop that frees what it makes, and never ends the step, holds on to few structs. */
Test(lifetimes, structs_come_round_again) {
    qn_tensor *first = qn_ones(ctx, QN_F32, QN_SHAPE(1));
    qn_tensor_free(first);
    bool again = false;
    for (int i = 0; i < 10000 && !again; i++) {
        qn_tensor *x = qn_ones(ctx, QN_F32, QN_SHAPE(1));
        again = x == first;
        qn_tensor_free(x);
    }
    cr_expect(again);
}

Test(lifetimes, a_tensor_freed_twice_is_an_error) {
    qn_tensor *x = qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(3)));
    qn_tensor_free(x);
    qn_tensor_free(x);
    expect_error(QN_INVALID_ARGUMENT, "tensor_free: a tensor [3] made by fill is gone");
}

Test(lifetimes, what_a_module_owns_is_freed_with_it_alone) {
    qn_module *linear = qn_nn_linear(ctx, 2, 2, NULL);
    qn_tensor_free(qn_module_find(linear, "weight"));
    expect_error(QN_INVALID_ARGUMENT, "tensor_free: [2, 2] belongs to a module");
    cr_expect_not_null(qn_forward(linear, qn_ones(ctx, QN_F32, QN_SHAPE(1, 2))));
    qn_module_free(linear);
}

/* ---- ends in the wrong place ------------------------------------------------------------- */

static qn_status step_with_end(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)data;
    out[0] = qn_mul(in[0], in[0]);
    qn_step_end(ctx);
    return QN_OK;
}

static qn_status step_with_tidy(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)data;
    out[0] = qn_mul(in[0], in[0]);
    qn_tidy_end(ctx, 0, NULL, 0);
    return QN_OK;
}

static qn_status step_that_frees(void *data, qn_tensor *const *in, qn_tensor **out) {
    out[0] = qn_mul(in[0], in[0]);
    qn_plan_free(*(qn_plan **)data);
    return QN_OK;
}

static void expect_refused(qn_plan_fn step, const char *words) {
    qn_plan *plan = NULL;
    plan = qn_plan_new(ctx, step, &plan);
    for (int run = 0; run < 6; run++) {
        qn_tensor *in[] = {qn_ones(ctx, QN_F32, QN_SHAPE(2, 2))}, *out[1];
        cr_expect_neq(qn_plan_run(plan, in, 1, out, 1), QN_OK, "run %d", run);
        expect_error(QN_INVALID_ARGUMENT, words);
        qn_step_end(ctx);
    }
    qn_plan_free(plan);
}

Test(lifetimes, a_plans_step_does_not_end_the_step) {
    expect_refused(step_with_end, "step_end: within a plan's step");
}

Test(lifetimes, a_plans_step_does_not_tidy_its_outputs_away) {
    expect_refused(step_with_tidy, "is gone");
}

Test(lifetimes, a_plans_step_does_not_free_the_plan) {
    expect_refused(step_that_frees, "plan_free: its step is running");
}

Test(lifetimes, a_dead_input_of_a_plan_is_an_error) {
    qn_plan *plan = qn_plan_new(ctx, step_with_tidy, NULL);
    qn_tensor *in[] = {dead_tensor()}, *out[1];
    cr_expect_eq(qn_plan_run(plan, in, 1, out, 1), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "plan: input: a tensor [4, 4] made by relu is gone");
}

Test(lifetimes, tidying_needs_a_beginning_and_its_results) {
    qn_tidy_end(ctx, -5, NULL, 0);
    expect_error(QN_INVALID_ARGUMENT, "tidy_end: begin -5");
    qn_tidy_end(ctx, 0, NULL, 1);
    expect_error(QN_INVALID_ARGUMENT, "1 results at NULL");
    qn_tidy_end(NULL, 0, NULL, 0);
}

/* ---- changes in place -------------------------------------------------------------------- */

static void change_by_fill(qn_tensor *x) { qn_fill(x, 100); }
static void change_by_copy(qn_tensor *x) { qn_copy(x, qn_full(ctx, QN_F32, QN_SCALAR, 100)); }
static void change_by_write(qn_tensor *x) { qn_tensor_write(x, (float[]){5, 6, 7, 8}, 16); }
static void change_by_clamp(qn_tensor *x) { qn_clamp_in_place(x, -1, 1); }
static void change_by_uniform(qn_tensor *x) { qn_fill_uniform(x, 0, 1); }
static void change_by_limit(qn_tensor *x) { qn_limit_norm(x, 0.5); }
static void change_a_slice(qn_tensor *x) { qn_fill(qn_slice(x, 1, 1, 2), 100); }
static void change_by_step(qn_tensor *x) {
    qn_sgd_step(x, qn_ones(ctx, QN_F32, QN_SHAPE(2, 2)), NULL,
                qn_ones(ctx, QN_F32, QN_SHAPE(QN_HYPER_COUNT)), NULL,
                &(qn_optimizer_spec){.lr = 1});
}

Test(lifetimes, a_parameter_changed_before_the_way_back_is_noticed) {
    static const struct {
        void (*change)(qn_tensor *);
        const char *words;
    } cases[] = {
        {change_by_fill, "mul: its input 0, f32 [2, 2], which the gradient needs, was changed in "
                         "place by fill"},
        {change_by_copy, "by copy"},
        {change_by_write, "by tensor_write"},
        {change_by_clamp, "by clamp"},
        {change_by_uniform, "by uniform"},
        {change_by_limit, "by limit_norm"},
        {change_a_slice, "by fill"},
        {change_by_step, "by sgd_step"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        qn_tensor *p = qn_parameter(ctx, QN_F32, QN_SHAPE(2, 2));
        qn_fill(p, 2);
        qn_tensor *loss = qn_sum(qn_mul(p, p), QN_ALL, false);
        cases[i].change(p);
        cr_assert_eq(qn_context_error(ctx, stderr), QN_OK);
        cr_expect_neq(qn_backward(loss), QN_OK);
        expect_error(QN_INVALID_ARGUMENT, cases[i].words);
        qn_step_end(ctx);
    }
}

Test(lifetimes, a_saved_output_changed_before_the_way_back_is_noticed) {
    qn_tensor *p = qn_parameter(ctx, QN_F32, QN_SHAPE(3)), *y = qn_exp(p);
    qn_fill(y, 5);
    cr_expect_neq(qn_backward(qn_sum(y, QN_ALL, false)), QN_OK);
    expect_error(QN_INVALID_ARGUMENT, "exp: its output 0, f32 [3]");
}

/* What no derivative reads may change: a sum's operands, a parameter beside it in one buffer. */
Test(lifetimes, what_no_derivative_reads_may_change) {
    qn_tensor *p = qn_parameter(ctx, QN_F32, QN_SHAPE(2)),
              *q = qn_parameter(ctx, QN_F32, QN_SHAPE(2));
    qn_tensor *both[] = {p, q}, *flat, *flat_grad;
    cr_assert_eq(qn_flatten_parameters(both, 2, &flat, &flat_grad), QN_OK);
    qn_fill(p, 3);
    qn_tensor *loss = qn_sum(qn_add(qn_mul(p, p), q), QN_ALL, false);
    for (int i = 0; i < 3; i++)
        qn_fill(q, i);
    cr_expect_eq(qn_backward(loss), QN_OK, "%s", qn_context_message(ctx));
    float g[2];
    cr_expect_eq(qn_tensor_read(qn_grad(p), g, sizeof(g)), QN_OK);
    cr_expect_eq(g[0], 6);
    loss = qn_sum(qn_mul(p, p), QN_ALL, false);
    qn_fill(flat, 1);
    cr_expect_neq(qn_backward(loss), QN_OK);
    expect_error(QN_INVALID_ARGUMENT, "by fill");
}

/* Running statistics move with every pass, and draws with every dropout: both are an operation's
 * own affair. */
Test(lifetimes, several_passes_through_one_layer_go_back) {
    qn_module *net =
        qn_nn_sequential(ctx, qn_nn_linear(ctx, 3, 4, NULL), qn_nn_batch_norm(ctx, 4, NULL),
                         qn_nn_dropout(ctx, 0.5), qn_nn_linear(ctx, 4, 1, NULL), NULL);
    qn_optimizer *sgd = qn_optimizer_new(net, qn_sgd(0.1, 0.9));
    for (int step = 0; step < 3; step++) {
        qn_tensor *x = qn_normal(ctx, QN_F32, QN_SHAPE(8, 3), 0, 1);
        qn_tensor *y = qn_add(qn_forward(net, x), qn_forward(net, qn_neg(x)));
        cr_expect_eq(qn_backward(qn_mean(y, QN_ALL, false)), QN_OK, "%s", qn_context_message(ctx));
        cr_expect_eq(qn_optimizer_step(sgd), QN_OK);
        qn_step_end(ctx);
    }
}

/* ---- where it happened ------------------------------------------------------------------- */

Test(lifetimes, errors_name_the_layer) {
    qn_module *inner = qn_nn_sequential(ctx, qn_nn_relu(ctx), qn_nn_linear(ctx, 3, 2, NULL), NULL);
    qn_module *net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 4, 4, NULL), inner, NULL);
    cr_expect_null(qn_forward(net, qn_ones(ctx, QN_F32, QN_SHAPE(1, 4))));
    expect_error(QN_SHAPE_MISMATCH, "1.1.linear: linear: ");
    cr_expect_null(qn_forward(inner, NULL));
    cr_expect_null(strstr(qn_context_message(ctx), "linear"), "nothing runs any more");
    qn_context_clear_error(ctx);
}

Test(lifetimes, debugging_fills_what_is_gone) {
    setenv("QUERN_DEBUG", "1", 1);
    qn_context *debug = qn_context_new("cpu");
    unsetenv("QUERN_DEBUG");
    qn_tensor *x = qn_keep(qn_ones(debug, QN_F32, QN_SHAPE(2000)));
    qn_tensor *first = qn_ones(debug, QN_F32, QN_SHAPE(4));
    const float *elements = qn_tensor_data(first); /* the pool keeps the memory */
    qn_step_end(debug);
    cr_expect(elements[0] != elements[0], "NaN");
    for (int i = 0; i < 3000; i++)
        cr_assert_neq(qn_ones(debug, QN_F32, QN_SCALAR), first, "places are not given away");
    cr_expect_null(qn_neg(first));
    cr_expect_eq(qn_context_error(debug, NULL), QN_INVALID_ARGUMENT);
    cr_expect_eq(qn_tensor_count(x), 2000);
    qn_context_free(debug);
}
