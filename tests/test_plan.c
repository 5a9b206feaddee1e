/* test_plan.c: steps recorded and replayed: every row of the operation table, training runs of each
 * kind of network, and all that ends a plan or forbids one. What a replay gives is held against the
 * step itself, to the bit. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include "op_outcome.h"
#include "test_device.h"

enum { ROUNDS = 6 }; /* one as it is, two recorded, three replayed */

/* ---- every row of the operation table ---------------------------------------------------- */

typedef struct row_step {
    const op_case *row;
    qn_tensor *x[OP_MAX_INPUTS];
} row_step;

/** A row's output, and where it has one, the gradient of the sum of its squares. */
static qn_status call_row(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)in;
    row_step *step = data;
    out[0] = step->row->call(step->x);
    if (!out[0] || step->row->checks == FORWARD)
        return QN_OK;
    return qn_backward(qn_sum(qn_mul(out[0], out[0]), QN_ALL, false));
}

/** Inputs that live on, with the values of a round. */
static void fill_inputs(qn_context *ctx, row_step *step, int round) {
    op_inputs inputs = op_inputs_make(step->row->small, 40 + (uint64_t)round);
    qn_tensor *x[OP_MAX_INPUTS];
    op_tensors(ctx, &inputs, QN_F32, CONTIGUOUS, false, x);
    for (int i = 0; i < inputs.count; i++)
        if (step->x[i])
            cr_assert_eq(qn_copy(step->x[i], x[i]), QN_OK, "%s", qn_context_message(ctx));
        else {
            step->x[i] = qn_keep(x[i]);
            if (step->row->checks != FORWARD && inputs.input[i].differentiable)
                qn_require_grad(x[i]);
        }
    op_inputs_free(&inputs);
}

/** All rounds of a row, with plans or without; the results of each round in `results`. */
static qn_plan_info run_row(const op_case *row, bool plans,
                            op_result results[ROUNDS][1 + OP_MAX_INPUTS]) {
    qn_context *ctx = op_context(NULL, NULL);
    qn_context_set_plans(ctx, plans);
    row_step step = {.row = row};
    fill_inputs(ctx, &step, 0);
    qn_plan *plan = qn_plan_new(ctx, call_row, &step);
    for (int round = 0; round < ROUNDS; round++) {
        qn_tensor *y;
        fill_inputs(ctx, &step, round);
        cr_assert_eq(qn_plan_run(plan, NULL, 0, &y, 1), QN_OK, "%s: %s", row->id,
                     qn_context_message(ctx));
        results[round][0] = op_take(y);
        for (int i = 0; i < OP_MAX_INPUTS; i++) {
            const qn_tensor *grad = step.x[i] ? qn_grad(step.x[i]) : NULL;
            results[round][1 + i] = grad ? op_take(grad) : (op_result){0};
            qn_zero_grad(step.x[i]);
        }
        qn_step_end(ctx);
    }
    qn_plan_info info = qn_plan_stats(plan);
    qn_context_free(ctx);
    return info;
}

static void free_rows(struct criterion_test_params *rows) { cr_free(rows->params); }

ParameterizedTestParameters(plan, each_row_is_replayed_to_the_bit) {
    int *rows = cr_malloc((size_t)op_case_count * sizeof(*rows));
    for (int i = 0; i < op_case_count; i++)
        rows[i] = i;
    return cr_make_param_array(int, rows, (size_t)op_case_count, free_rows);
}

ParameterizedTest(const int *index, plan, each_row_is_replayed_to_the_bit) {
    const op_case *row = &op_cases[*index];
    op_result eager[ROUNDS][1 + OP_MAX_INPUTS], planned[ROUNDS][1 + OP_MAX_INPUTS];
    setenv("QUERN_FUSE", *index % 3 == 0 ? "off" : "64", 1); /* in blocks of a few elements */
    cr_assert_eq(run_row(row, false, eager).replayed, 0);
    qn_plan_info info = run_row(row, true, planned);
    cr_assert_eq(info.replayed, ROUNDS - 3, "%s: %lld replays: %s", row->id,
                 (long long)info.replayed, info.reason ? info.reason : "");
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i <= OP_MAX_INPUTS; i++) {
            op_result a = eager[round][i], b = planned[round][i];
            cr_assert_eq(a.count, b.count, "%s: round %d", row->id, round);
            if (a.count > 0)
                cr_assert_arr_eq(a.values, b.values, (size_t)a.count * sizeof(double),
                                 "%s: round %d: other bits in result %d", row->id, round, i);
            free(a.values);
            free(b.values);
        }
}

/* ---- training ---------------------------------------------------------------------------- */

typedef struct task {
    const char *name;
    qn_module *(*make)(qn_context *ctx);
    qn_shape x;
    int words; /* 0: x is normal numbers; else words below this */
    bool limit;
} task;

static qn_module *make_mlp(qn_context *ctx) {
    return qn_nn_sequential(ctx, qn_nn_linear(ctx, 12, 16, NULL), qn_nn_gelu(ctx, true),
                            qn_nn_layer_norm(ctx, QN_SHAPE(16), 0), qn_nn_linear(ctx, 16, 3, NULL),
                            NULL);
}

static qn_module *make_conv(qn_context *ctx) {
    return qn_nn_sequential(ctx, qn_nn_conv2d(ctx, 1, 4, 3, &(qn_conv2d_opts){.padding = {1}}),
                            qn_nn_batch_norm(ctx, 4, NULL), qn_nn_relu(ctx),
                            qn_nn_max_pool2d(ctx, 2, NULL), qn_nn_flatten(ctx),
                            qn_nn_dropout(ctx, 0.3), qn_nn_linear(ctx, 4 * 3 * 3, 3, NULL), NULL);
}

static qn_tensor *mean_of_time(qn_tensor *x) { return qn_mean(x, QN_AXES(1), false); }

static qn_module *make_lstm(qn_context *ctx) {
    const qn_nn_recurrent_opts opts = {.layers = 2, .bidirectional = true, .dropout = 0.2};
    return qn_nn_sequential(ctx, qn_nn_lstm(ctx, 4, 5, &opts),
                            qn_nn_function(ctx, "mean", mean_of_time),
                            qn_nn_linear(ctx, 10, 3, NULL), NULL);
}

static qn_module *make_transformer(qn_context *ctx) {
    const qn_nn_transformer_opts opts = {.dropout = 0.1, .gelu = true};
    return qn_nn_sequential(ctx, qn_nn_positional_encoding(ctx, 6, 8, true),
                            qn_nn_transformer_encoder_layer(ctx, 8, 2, &opts),
                            qn_nn_function(ctx, "mean", mean_of_time),
                            qn_nn_linear(ctx, 8, 3, NULL), NULL);
}

static qn_module *make_words(qn_context *ctx) {
    const qn_embedding_opts opts = {.padding = true};
    return qn_nn_sequential(ctx, qn_nn_embedding(ctx, 20, 6, &opts),
                            qn_nn_function(ctx, "mean", mean_of_time),
                            qn_nn_linear(ctx, 6, 3, NULL), NULL);
}

static qn_module *make_sparse_words(qn_context *ctx) {
    const qn_embedding_opts opts = {.padding = true, .sparse = true};
    return qn_nn_sequential(ctx, qn_nn_embedding_bag(ctx, 20, 6, QN_BAG_MEAN, &opts),
                            qn_nn_linear(ctx, 6, 3, NULL), NULL);
}

static qn_tensor *series_forward(qn_module *self, qn_tensor *x) {
    qn_module *rev_in = qn_module_child(self, 0);
    x = qn_nn_rev_in_restore(rev_in, qn_relu(qn_forward(rev_in, x)));
    return qn_forward(qn_module_child(self, 1), mean_of_time(x));
}

static qn_module *make_series(qn_context *ctx) {
    qn_module *net = qn_module_new(ctx, "series", series_forward, NULL, NULL);
    qn_module_add_child(net, "rev_in", qn_nn_rev_in(ctx, 4));
    qn_module_add_child(net, "linear", qn_nn_linear(ctx, 4, 3, NULL));
    return net;
}

static const task tasks[] = {
    {"mlp", make_mlp, {2, {5, 12}}, 0, true},
    {"conv", make_conv, {4, {5, 1, 6, 6}}, 0, false},
    {"lstm", make_lstm, {3, {5, 6, 4}}, 0, false},
    {"transformer", make_transformer, {3, {5, 6, 8}}, 0, false},
    {"series", make_series, {3, {5, 6, 4}}, 0, false},
    {"words", make_words, {2, {5, 7}}, 20, false},
    {"sparse words", make_sparse_words, {2, {5, 7}}, 20, false},
};
enum { TASKS = sizeof(tasks) / sizeof(tasks[0]), OPTIMIZERS = 4, STEPS = 9 };

static qn_optimizer_spec spec_of(int kind) {
    qn_optimizer_spec specs[OPTIMIZERS] = {qn_sgd(0.1, 0.9), qn_adamw(0.01, 0.1), qn_rmsprop(0.01),
                                           qn_adadelta(1)};
    specs[0].clip_norm = 0.5;
    specs[1].clip_norm = 0.5;
    specs[2].clip_value = 0.01;
    return specs[kind];
}

/* A training run in a context of its own. */
typedef struct run {
    qn_context *ctx;
    qn_module *net;
    qn_optimizer *optimizer;
    qn_scheduler *scheduler;
    qn_plan *plan;
} run;

static qn_status train_step(void *data, qn_tensor *const *in, qn_tensor **out) {
    run *r = data;
    out[0] = qn_cross_entropy(qn_forward(r->net, in[0]), in[1]);
    qn_status status = qn_backward(out[0]);
    if (status != QN_OK)
        return status;
    qn_scheduler_step(r->scheduler);
    return qn_optimizer_step(r->optimizer);
}

static run begin_run(const task *t, int optimizer, bool plans) {
    run r = {.ctx = qn_context_new(test_device())};
    qn_context_set_plans(r.ctx, plans);
    qn_context_seed(r.ctx, 11);
    r.net = t->make(r.ctx);
    if (t->limit)
        qn_module_limit_norm(r.net, "0.weight", 0.6);
    r.optimizer = qn_optimizer_new(r.net, spec_of(optimizer));
    r.scheduler = qn_scheduler_new(r.optimizer, qn_schedule_cosine(0.1), STEPS, 1);
    cr_assert_eq(qn_context_error(r.ctx, stderr), QN_OK);
    return r;
}

/** The batch of a step: `size` samples. */
static void make_batch(qn_context *ctx, const task *t, int step, int64_t size, qn_tensor **in) {
    qn_shape shape = t->x;
    shape.dim[0] = size;
    int64_t count = 1, classes[32];
    for (int axis = 0; axis < shape.rank; axis++)
        count *= shape.dim[axis];
    float *numbers = malloc((size_t)count * sizeof(float));
    int64_t *words = malloc((size_t)count * sizeof(int64_t));
    cr_assert(numbers && words);
    for (int64_t i = 0; i < count; i++) {
        numbers[i] = (float)((i * 7 + step * 13) % 23) / 11 - 1;
        words[i] = t->words ? (i * 5 + step * 3) % t->words : 0;
    }
    for (int64_t i = 0; i < size; i++)
        classes[i] = (i + step) % 3;
    in[0] = t->words ? qn_from_data(ctx, QN_I64, shape, words)
                     : qn_from_data(ctx, QN_F32, shape, numbers);
    in[1] = qn_from_data(ctx, QN_I64, QN_SHAPE(size), classes);
    free(numbers);
    free(words);
}

static double take_step(run *r, const task *t, int step, int64_t size) {
    qn_tensor *in[2], *loss;
    make_batch(r->ctx, t, step, size, in);
    cr_assert_eq(qn_plan_run(r->plan, in, 2, &loss, 1), QN_OK, "%s: %s", t->name,
                 qn_context_message(r->ctx));
    double value = qn_item(loss);
    qn_step_end(r->ctx);
    return value;
}

/** Parameters, buffers, the optimizer's state, and the random state of two runs are the same. */
static void expect_same_state(const char *what, const run *a, const run *b) {
    for (int i = 0; i < qn_module_tensor_count(a->net); i++) {
        double *x = op_values(qn_module_tensor(a->net, i).tensor);
        double *y = op_values(qn_module_tensor(b->net, i).tensor);
        size_t bytes = (size_t)qn_tensor_count(qn_module_tensor(a->net, i).tensor) * sizeof(*x);
        cr_expect_arr_eq(x, y, bytes, "%s: other bits in %s", what,
                         qn_module_tensor(a->net, i).name);
        free(x);
        free(y);
    }
    for (int i = 0; i < qn_optimizer_tensor_count(a->optimizer); i++) {
        double *x = op_values(qn_optimizer_tensor(a->optimizer, i).tensor);
        double *y = op_values(qn_optimizer_tensor(b->optimizer, i).tensor);
        size_t bytes =
            (size_t)qn_tensor_count(qn_optimizer_tensor(a->optimizer, i).tensor) * sizeof(*x);
        cr_expect_arr_eq(x, y, bytes, "%s: other bits in %s", what,
                         qn_optimizer_tensor(a->optimizer, i).name);
        free(x);
        free(y);
    }
    cr_expect_eq(qn_context_random(a->ctx).counter, qn_context_random(b->ctx).counter, "%s", what);
    cr_expect_eq(qn_optimizer_steps(a->optimizer), qn_optimizer_steps(b->optimizer), "%s", what);
    cr_expect_eq(qn_optimizer_lr(a->optimizer), qn_optimizer_lr(b->optimizer), "%s", what);
}

static void compare_runs(const task *t, int optimizer) {
    run r[2];
    setenv("QUERN_FUSE", optimizer == 0 ? "off" : "64", 1); /* in blocks of a few elements */
    for (int plans = 0; plans < 2; plans++) {
        r[plans] = begin_run(t, optimizer, plans);
        r[plans].plan = qn_plan_new(r[plans].ctx, train_step, &r[plans]);
    }
    for (int step = 0; step < STEPS; step++) {
        double eager = take_step(&r[0], t, step, 5), planned = take_step(&r[1], t, step, 5);
        cr_expect_eq(eager, planned, "%s: step %d: loss %.9g, expected %.9g", t->name, step,
                     planned, eager);
    }
    expect_same_state(t->name, &r[0], &r[1]);
    qn_plan_info info = qn_plan_stats(r[1].plan);
    cr_expect_eq(info.replayed, STEPS - 3, "%s: %s", t->name, info.reason ? info.reason : "");
    const size_t edges =
        4096; /* places begin at multiples of 256, which counts in networks as small as these */
    cr_expect_leq(info.bytes, info.eager_bytes + edges, "%s: %zu bytes placed, %zu without",
                  t->name, info.bytes, info.eager_bytes);
    qn_context_free(r[0].ctx);
    qn_context_free(r[1].ctx);
}

Test(plan, training_is_replayed_to_the_bit) {
    for (int t = 0; t < TASKS; t++)
        for (int optimizer = 0; optimizer < OPTIMIZERS; optimizer++)
            compare_runs(&tasks[t], optimizer);
}

Test(plan, a_replay_takes_no_memory_and_chooses_nothing) {
    run r = begin_run(&tasks[1], 1, true);
    r.plan = qn_plan_new(r.ctx, train_step, &r);
    for (int step = 0; step < 4; step++)
        take_step(&r, &tasks[1], step, 5);
    const size_t allocations = qn_memory_stats(r.ctx).allocations, calls = qn_context_calls(r.ctx);
    for (int step = 4; step < 12; step++)
        take_step(&r, &tasks[1], step, 5);
    cr_expect_eq(qn_memory_stats(r.ctx).allocations, allocations);
    cr_expect_eq(qn_context_calls(r.ctx), calls);
    cr_expect_eq(qn_plan_stats(r.plan).replayed, 9);
    cr_expect_eq(qn_plan_stats(r.plan).graph, !test_on_cpu());
    qn_context_free(r.ctx);
}

Test(plan, batches_of_other_sizes_get_plans_of_their_own) {
    run r[2];
    for (int plans = 0; plans < 2; plans++) {
        r[plans] = begin_run(&tasks[1], 1, plans);
        r[plans].plan = qn_plan_new(r[plans].ctx, train_step, &r[plans]);
    }
    for (int step = 0; step < 100; step++) { /* more sizes at first than a plan keeps */
        int64_t size = step < 80 ? 2 + step % 20 : 3 + step % 2;
        cr_expect_eq(take_step(&r[0], &tasks[1], step, size),
                     take_step(&r[1], &tasks[1], step, size), "step %d", step);
    }
    expect_same_state("sizes", &r[0], &r[1]);
    cr_expect_leq(qn_plan_stats(r[1].plan).plans, 16);
    cr_expect_geq(qn_plan_stats(r[1].plan).replayed, 15);
    qn_context_free(r[0].ctx);
    qn_context_free(r[1].ctx);
}

/* ---- steps of other kinds ---------------------------------------------------------------- */

typedef struct small_step {
    qn_context *ctx;
    qn_tensor *w; /* [3], with a gradient */
    int64_t calls;
    int what;
} small_step;

static small_step begin_small(void) {
    small_step s = {.ctx = qn_context_new(test_device())};
    cr_assert_eq(qn_context_error(s.ctx, stderr), QN_OK);
    s.w = qn_parameter(s.ctx, QN_F32, QN_SHAPE(3));
    qn_fill(s.w, 2);
    return s;
}

static qn_tensor *numbers(qn_context *ctx, float first) {
    return qn_from_data(ctx, QN_F32, QN_SHAPE(3), (float[]){first, first + 1, first + 2});
}

/** Runs a plan once; its output's first element. */
static float first_of(qn_plan *plan, qn_tensor *x) {
    qn_tensor *y = NULL;
    float value[3] = {0};
    cr_assert_eq(qn_plan_run(plan, &x, 1, &y, 1), QN_OK, "%s",
                 qn_context_message(qn_tensor_context(x)));
    cr_assert_eq(qn_tensor_read(y, value, sizeof(value)), QN_OK);
    return value[0];
}

static qn_status times_w(void *data, qn_tensor *const *in, qn_tensor **out) {
    small_step *s = data;
    s->calls++;
    out[0] = qn_mul(in[0], s->w);
    return QN_OK;
}

Test(plan, the_step_is_called_until_it_is_known) {
    small_step s = begin_small();
    qn_plan *plan = qn_plan_new(s.ctx, times_w, &s);
    for (int i = 0; i < 10; i++) {
        cr_expect_eq(first_of(plan, numbers(s.ctx, (float)i)), 2 * (float)i);
        qn_step_end(s.ctx);
    }
    cr_expect_eq(s.calls, 3);
    qn_plan_info info = qn_plan_stats(plan);
    cr_expect(info.runs == 10 && info.recorded == 2 && info.replayed == 7 && info.plans == 1);
    cr_expect_eq(info.nodes, 1);
    qn_plan_free(plan);
    qn_context_free(s.ctx);
}

Test(plan, outputs_that_are_held_stay_as_they_are) {
    small_step s = begin_small();
    qn_plan *plan = qn_plan_new(s.ctx, times_w, &s);
    qn_tensor *held[8];
    for (int i = 0; i < 8; i++) {
        qn_tensor *x = numbers(s.ctx, (float)i);
        cr_assert_eq(qn_plan_run(plan, &x, 1, &held[i], 1), QN_OK);
        qn_keep(held[i]);
        qn_step_end(s.ctx);
    }
    for (int i = 0; i < 8; i++) {
        float value[3];
        cr_assert_eq(qn_tensor_read(held[i], value, sizeof(value)), QN_OK);
        cr_expect_eq(value[2], 2 * (float)(i + 2), "output %d is %g", i, (double)value[2]);
    }
    qn_context_free(s.ctx);
}

static qn_status pass_on(void *data, qn_tensor *const *in, qn_tensor **out) {
    small_step *s = data;
    out[0] = qn_slice(in[0], 0, 1, 3);
    out[1] = s->w;
    return QN_OK;
}

Test(plan, an_output_can_be_what_was_there) {
    small_step s = begin_small();
    qn_plan *plan = qn_plan_new(s.ctx, pass_on, &s);
    for (int i = 0; i < 6; i++) {
        float part[2], w[3];
        qn_tensor *x = numbers(s.ctx, (float)i), *y[2];
        cr_assert_eq(qn_plan_run(plan, &x, 1, y, 2), QN_OK);
        cr_assert_eq(qn_tensor_read(y[0], part, sizeof(part)), QN_OK);
        cr_assert_eq(qn_tensor_read(y[1], w, sizeof(w)), QN_OK);
        cr_expect(part[0] == (float)i + 1 && part[1] == (float)i + 2 && w[0] == 2);
        qn_step_end(s.ctx);
    }
    cr_expect_eq(qn_plan_stats(plan).replayed, 3);
    qn_context_free(s.ctx);
}

/** Gradients of two micro-batches are added up before anyone forgets them. */
static qn_status add_gradient(void *data, qn_tensor *const *in, qn_tensor **out) {
    small_step *s = data;
    out[0] = qn_sum(qn_mul(in[0], s->w), QN_ALL, false);
    return qn_backward(out[0]);
}

Test(plan, gradients_are_added_up_as_without_one) {
    small_step s = begin_small();
    qn_plan *plan = qn_plan_new(s.ctx, add_gradient, &s);
    for (int i = 0; i < 8; i++) {
        float grad[3];
        for (int part = 0; part < 3; part++) {
            qn_tensor *x = numbers(s.ctx, (float)(i + part)), *loss;
            cr_assert_eq(qn_plan_run(plan, &x, 1, &loss, 1), QN_OK);
        }
        cr_assert_eq(qn_tensor_read(qn_grad(s.w), grad, sizeof(grad)), QN_OK);
        cr_expect_eq(grad[0], (float)(3 * i + 3), "round %d: %g", i, (double)grad[0]);
        qn_zero_grad(s.w);
        qn_step_end(s.ctx);
    }
    cr_expect_gt(qn_plan_stats(plan).replayed, 12);
    qn_context_free(s.ctx);
}

static qn_status read_within(void *data, qn_tensor *const *in, qn_tensor **out) {
    small_step *s = data;
    qn_tensor *y = qn_mul(in[0], s->w);
    if (s->what == 0)
        qn_item(qn_sum(y, QN_ALL, false));
    if (s->what == 1)
        y = qn_add(y, numbers(s->ctx, 0));
    if (s->what == 2)
        qn_tensor_free(qn_keep(qn_neg(y)));
    if (s->what == 3)
        y = qn_affine(y, 1, (double)s->calls++);
    out[0] = y;
    return QN_OK;
}

Test(plan, what_cannot_be_replayed_runs_as_it_is_and_says_why) {
    const char *const words[] = {"reads a tensor", "writes a tensor", "is kept",
                                 "another each time"};
    for (int what = 0; what < 4; what++) {
        small_step s = begin_small();
        s.what = what;
        qn_plan *plan = qn_plan_new(s.ctx, read_within, &s);
        for (int i = 0; i < 8; i++) {
            float expected = 2 * (float)i + (what == 3 ? (float)i : 0);
            cr_expect_eq(first_of(plan, numbers(s.ctx, (float)i)), expected, "%s, run %d",
                         words[what], i);
            qn_step_end(s.ctx);
        }
        qn_plan_info info = qn_plan_stats(plan);
        cr_expect(info.replayed == 0 && info.reason && strstr(info.reason, words[what]), "%s: %s",
                  words[what], info.reason ? info.reason : "no reason");
        qn_context_free(s.ctx);
    }
}

Test(plan, a_tensor_that_goes_or_moves_ends_a_recording) {
    small_step s = begin_small();
    qn_plan *plan = qn_plan_new(s.ctx, times_w, &s);
    for (int i = 0; i < 15; i++) {
        if (i == 5) { /* another tensor in its place */
            qn_tensor_free(s.w);
            s.w = qn_parameter(s.ctx, QN_F32, QN_SHAPE(3));
            qn_fill(s.w, 3);
        }
        if (i == 10) { /* the same one elsewhere */
            qn_tensor *flat, *grad;
            qn_keep(qn_slice(qn_detach(s.w), 0, 0, 2)); /* holds on to the old place */
            cr_assert_eq(qn_flatten_parameters(&s.w, 1, &flat, &grad), QN_OK);
            qn_fill(s.w, 4);
        }
        const float factor = i < 5 ? 2 : i < 10 ? 3 : 4;
        cr_expect_eq(first_of(plan, numbers(s.ctx, (float)i)), factor * (float)i, "run %d", i);
        qn_step_end(s.ctx);
    }
    cr_expect_eq(qn_plan_stats(plan).replayed, 2 + 2 + 2);
    qn_context_free(s.ctx);
}

/** As times_w(), with a tensor that is no leaf. */
static qn_status times_kept(void *data, qn_tensor *const *in, qn_tensor **out) {
    out[0] = qn_mul(in[0], *(qn_tensor **)data);
    return QN_OK;
}

Test(plan, a_kept_tensor_that_is_freed_ends_a_recording) {
    qn_context *ctx = qn_context_new(test_device());
    qn_tensor *factor = NULL;
    qn_plan *plan = qn_plan_new(ctx, times_kept, &factor);
    for (int i = 0; i < 10; i++) {
        if (i % 5 == 0) {
            qn_tensor_free(factor);
            factor = qn_keep(qn_full(ctx, QN_F32, QN_SHAPE(3), 1 + i));
        }
        cr_expect_eq(first_of(plan, numbers(ctx, 4)), (float)(i < 5 ? 4 : 24), "run %d", i);
        qn_step_end(ctx);
    }
    cr_expect_eq(qn_plan_stats(plan).replayed, 2 + 2);
    qn_context_free(ctx);
}

static qn_status look_up(void *data, qn_tensor *const *in, qn_tensor **out) {
    out[0] = qn_embedding(*(qn_tensor **)data, in[0], -1);
    return QN_OK;
}

Test(plan, faults_in_data_are_named_in_a_replay_too) {
    qn_context *ctx = qn_context_new(test_device());
    qn_tensor *table = qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(4, 2)));
    qn_plan *plan = qn_plan_new(ctx, look_up, &table);
    for (int i = 0; i < 6; i++) {
        qn_tensor *y, *x = qn_from_data(ctx, QN_I64, QN_SHAPE(2), (int64_t[]){1, i == 4 ? 9 : 2});
        qn_status status = qn_plan_run(plan, &x, 1, &y, 1);
        if (status == QN_OK)
            status = qn_context_synchronize(ctx);
        cr_expect_eq(status == QN_OK, i != 4, "run %d", i);
        if (i == 4)
            cr_expect(strstr(qn_context_message(ctx), "embedding"), "%s", qn_context_message(ctx));
        qn_context_clear_error(ctx);
        qn_step_end(ctx);
    }
    cr_expect_eq(qn_plan_stats(plan).replayed, 3);
    qn_context_free(ctx);
}

static qn_status count_call(void *data) {
    ((small_step *)data)->calls++;
    return QN_OK;
}

static qn_status call_host(void *data, qn_tensor *const *in, qn_tensor **out) {
    small_step *s = data;
    out[0] = qn_neg(in[0]);
    return qn_host_call(s->ctx, count_call, s);
}

Test(plan, the_host_is_called_in_each_replay) {
    small_step s = begin_small();
    qn_plan *plan = qn_plan_new(s.ctx, call_host, &s);
    for (int i = 0; i < 7; i++)
        cr_expect_eq(first_of(plan, numbers(s.ctx, 5)), -5);
    cr_expect_eq(s.calls, 7);
    cr_expect_eq(qn_plan_stats(plan).replayed, 4);
    qn_context_free(s.ctx);
}

Test(plan, wrong_calls_are_errors) {
    small_step s = begin_small();
    cr_expect_null(qn_plan_new(s.ctx, NULL, NULL));
    cr_expect_eq(qn_context_error(s.ctx, NULL), QN_INVALID_ARGUMENT);
    qn_context_clear_error(s.ctx);
    qn_plan *plan = qn_plan_new(s.ctx, times_w, &s);
    qn_tensor *none = NULL, *y;
    cr_expect_eq(qn_plan_run(plan, &none, 1, &y, 1), QN_INVALID_ARGUMENT);
    qn_context_clear_error(s.ctx);
    cr_expect_eq(qn_plan_run(plan, NULL, QN_PLAN_INPUTS + 1, &y, 1), QN_INVALID_ARGUMENT);
    cr_expect_eq(qn_plan_run(NULL, NULL, 0, NULL, 0), QN_INVALID_ARGUMENT);
    qn_context_free(s.ctx);
}
