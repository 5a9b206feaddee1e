/* test_plan_fuse.c: steps whose calls are fused, in blocks of a few elements and in the usual ones,
 * on one to three threads: the bits are those of the step itself, and of its plan call by call. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "plan/trace.h"

enum { ROUNDS = 6, MOST = 4096, LEAVES = 2 };

/* A step on two leaves and an input, all alike. */
typedef struct chain {
    const char *name;
    qn_tensor *(*make)(qn_tensor *x, qn_tensor *const *leaf);
    qn_shape shape;
    int fused; /* calls that are parts of others, at least */
} chain;

static qn_tensor *maps(qn_tensor *x, qn_tensor *const *leaf) {
    qn_tensor *y = qn_sigmoid(qn_affine(qn_add(x, leaf[0]), 1.5, -0.25));
    return qn_mul(qn_tanh(y), leaf[1]);
}

/** Operands that repeat along each axis in turn. */
static qn_tensor *broadcasts(qn_tensor *x, qn_tensor *const *leaf) {
    qn_tensor *first = qn_slice(leaf[0], 0, 0, 1), *column = qn_slice(leaf[1], 1, 2, 3);
    qn_tensor *y = qn_exp(qn_mul(qn_add(x, first), column));
    return qn_sub(y, qn_mean(leaf[0], QN_ALL, false));
}

/** What a block of a temporal convolutional network does besides its convolutions. */
static qn_tensor *residual(qn_tensor *x, qn_tensor *const *leaf) {
    const int64_t before[] = {0, 0, 2}, after[] = {0, 0, 0};
    qn_tensor *y = qn_dropout(qn_relu(qn_mul(x, leaf[0])), 0.3, true);
    y = qn_relu(qn_add(y, leaf[1]));
    return qn_exp(qn_dropout(qn_pad(y, before, after, 0), 0.2, true));
}

static qn_tensor *normalised(qn_tensor *x, qn_tensor *const *leaf) {
    qn_tensor *y = qn_add(qn_dropout(qn_mul(x, leaf[0]), 0.25, true), leaf[1]);
    return qn_layer_norm(y, 1, NULL, NULL, 1e-5);
}

static qn_tensor *pooled(qn_tensor *x, qn_tensor *const *leaf) {
    qn_tensor *y =
        qn_max_pool2d(qn_relu(qn_mul(x, leaf[0])), &(qn_pool2d_opts){.kernel = {2}, .stride = {2}});
    return qn_avg_pool2d(qn_exp(qn_neg(y)), &(qn_pool2d_opts){.kernel = {2}, .stride = {1}});
}

/** Axis 0 of one tensor is an inner axis of the other: no block of rows has what it needs. */
static qn_tensor *turned(qn_tensor *x, qn_tensor *const *leaf) {
    qn_tensor *y = qn_exp(qn_mul(x, leaf[0]));
    return qn_add(qn_contiguous(qn_transpose(y, 0, 1)), qn_transpose(leaf[1], 0, 1));
}

/** Reductions that keep axis 0, of what a map gave and before one; and
 * one that does not keep it. */
static qn_tensor *reduces(qn_tensor *x, qn_tensor *const *leaf) {
    qn_tensor *y = qn_exp(qn_mul(x, leaf[0]));
    qn_tensor *centred = qn_sub(y, qn_mean(y, QN_AXES(1), true));
    qn_tensor *scale = qn_affine(qn_var(y, QN_AXES(1), 0, true), 1, 1e-3);
    qn_tensor *span = qn_sub(qn_max(y, QN_AXES(1), true), qn_min(leaf[1], QN_AXES(1), true));
    qn_tensor *z = qn_div(qn_mul(centred, span), qn_sqrt(scale));
    return qn_mul(z, qn_sum(qn_abs(z), QN_AXES(0), true));
}

/** A relu behind each operation that has one for its epilogue, on [4, 4, n, n]. */
static qn_tensor *epilogues(qn_tensor *x, qn_tensor *const *leaf) {
    qn_context *ctx = qn_tensor_context(x);
    qn_tensor *corner = qn_slice(qn_slice(leaf[1], 2, 0, 1), 3, 0, 1); /* [4, 4, 1, 1] */
    qn_tensor *y = qn_relu(qn_conv2d(x, leaf[0], NULL, &(qn_conv2d_opts){.padding = {1}}));
    y = qn_relu(qn_conv2d(y, corner, NULL, NULL));
    y = qn_relu(qn_batch_norm(y, NULL, NULL, qn_zeros(ctx, QN_F32, QN_SHAPE(4)),
                              qn_ones(ctx, QN_F32, QN_SHAPE(4)), true, NULL));
    qn_tensor *row = qn_reshape(y, QN_SHAPE(4, -1));
    row = qn_relu(qn_linear(row, qn_reshape(leaf[1], QN_SHAPE(4, -1)), NULL)); /* [4, 4] */
    row = qn_relu(qn_batch_norm(row, NULL, NULL, qn_zeros(ctx, QN_F32, QN_SHAPE(4)),
                                qn_ones(ctx, QN_F32, QN_SHAPE(4)), true, NULL));
    return qn_relu(qn_matmul(row, qn_reshape(y, QN_SHAPE(4, -1))));
}

/** What relu reads is read by another call as well, or is not all that was made. */
static qn_tensor *read_twice(qn_tensor *x, qn_tensor *const *leaf) {
    qn_tensor *y = qn_matmul(x, leaf[0]);
    qn_tensor *z = qn_matmul(qn_relu(y), leaf[1]);
    return qn_matmul(qn_relu(qn_slice(z, 0, 0, 8)), y);
}

/** The state of random numbers is moved by a call between those that could meet. */
static qn_tensor *draws(qn_tensor *x, qn_tensor *const *leaf) {
    qn_tensor *y = qn_dropout(qn_relu(qn_add(x, leaf[0])), 0.5, true);
    qn_tensor *noise = qn_uniform(qn_tensor_context(x), QN_F32, QN_SHAPE(1), 0, 1);
    return qn_mul(qn_dropout(qn_add(y, noise), 0.5, true), leaf[1]);
}

/** A leaf's gradient comes in three parts, and two of the results are read again later. */
static qn_tensor *shared(qn_tensor *x, qn_tensor *const *leaf) {
    qn_tensor *y = qn_silu(qn_mul(x, leaf[0])), *z = qn_softplus(qn_mul(y, leaf[0]));
    return qn_add(qn_mul(qn_matmul(z, qn_transpose(y, 0, 1)), qn_mean(z, QN_ALL, false)),
                  qn_sum(qn_mul(qn_div(y, qn_affine(z, 1, 1)), leaf[0]), QN_AXES(1), true));
}

/** Rows are added in front of and behind a tensor, and cut off again: no
 * block of rows has its own. */
static qn_tensor *padded_rows(qn_tensor *x, qn_tensor *const *leaf) {
    const int64_t before[] = {2, 0}, after[] = {3, 0};
    qn_tensor *y = qn_exp(qn_pad(qn_mul(x, leaf[0]), before, after, 0.5));
    return qn_mul(qn_slice(qn_sigmoid(y), 0, 1, 1 + qn_tensor_dim(x, 0)), leaf[1]);
}

/** All states of a recurrent layer and its last: the gradient of that one is padded along time. */
static qn_tensor *recurrent(qn_tensor *x, qn_tensor *const *leaf) {
    qn_context *ctx = qn_tensor_context(x);
    qn_tensor *w = qn_full(ctx, QN_F32, QN_SHAPE(12, 4), 0.25);
    qn_recurrent r = qn_gru(qn_mul(x, leaf[0]), w, w, NULL, NULL, NULL);
    return qn_add(qn_mul(qn_tanh(r.y), leaf[1]), qn_unsqueeze(qn_exp(r.h), 1));
}

/** Two parts of one tensor are written, and read again, where nobody else sees it. */
static qn_tensor *halves(qn_tensor *x, qn_tensor *const *leaf) {
    const int64_t n = qn_tensor_dim(x, 0), m = qn_tensor_dim(x, 1);
    qn_tensor *both = qn_empty(qn_tensor_context(x), QN_F32, QN_SHAPE(2 * n, m));
    qn_tensor *upper = qn_slice(both, 0, 0, n), *lower = qn_slice(both, 0, n, 2 * n);
    qn_copy(upper, qn_exp(x));
    qn_copy(lower, qn_sigmoid(x));
    return qn_mul(qn_sub(upper, lower), qn_mul(leaf[0], leaf[1]));
}

static const chain chains[] = {
    {"halves", halves, {2, {37, 11}}, 6},
    {"padded rows", padded_rows, {2, {37, 11}}, 4},
    {"recurrent", recurrent, {3, {9, 7, 4}}, 4},
    {"maps", maps, {2, {37, 11}}, 6},
    {"broadcasts", broadcasts, {2, {37, 11}}, 6},
    {"broadcasts of more axes", broadcasts, {3, {5, 7, 9}}, 4},
    {"residual", residual, {3, {7, 3, 13}}, 8},
    {"normalised", normalised, {2, {37, 11}}, 3},
    {"normalised rows", normalised, {3, {5, 7, 12}}, 3},
    {"pooled", pooled, {4, {9, 2, 7, 5}}, 6},
    {"turned", turned, {2, {16, 16}}, 0},
    {"draws", draws, {2, {37, 11}}, 2},
    {"shared", shared, {2, {16, 16}}, 4},
    {"reduces", reduces, {2, {37, 11}}, 50},
    {"reduces planes", reduces, {3, {7, 5, 9}}, 50},
    {"epilogues", epilogues, {4, {4, 4, 3, 3}}, 6},
    {"read twice", read_twice, {2, {16, 16}}, 0},
};
enum { CHAINS = sizeof(chains) / sizeof(chains[0]) };

typedef struct results {
    float values[ROUNDS][1 + LEAVES][MOST];
    uint64_t counter;
    int fused;
} results;

typedef struct run {
    const chain *chain;
    qn_tensor *leaf[LEAVES];
} run;

static qn_status step(void *data, qn_tensor *const *in, qn_tensor **out) {
    run *r = data;
    out[0] = r->chain->make(in[0], r->leaf);
    return qn_backward(qn_sum(qn_mul(out[0], out[0]), QN_ALL, false));
}

static qn_tensor *numbers(qn_context *ctx, qn_shape shape, int seed) {
    float values[MOST];
    int64_t count = 1;
    for (int axis = 0; axis < shape.rank; axis++)
        count *= shape.dim[axis];
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)((i * 31 + seed * 17) % 101) / 60 - 0.8f;
    return qn_from_data(ctx, QN_F32, shape, values);
}

static void take(const qn_tensor *x, float *values) {
    memset(values, 0, MOST * sizeof(*values));
    cr_assert_leq(qn_tensor_count(x), MOST);
    cr_assert_eq(qn_tensor_read(x, values, (size_t)qn_tensor_count(x) * sizeof(*values)), QN_OK);
}

static void run_chain(const chain *c, const char *fuse, bool plans, int threads, results *r) {
    setenv("QUERN_FUSE", fuse, 1);
    qn_context *ctx = qn_context_new("cpu");
    qn_context_set_threads(ctx, threads);
    qn_context_set_plans(ctx, plans);
    qn_context_seed(ctx, 5);
    run state = {.chain = c};
    for (int i = 0; i < LEAVES; i++)
        state.leaf[i] = qn_require_grad(qn_keep(numbers(ctx, c->shape, 50 + i)));
    qn_plan *plan = qn_plan_new(ctx, step, &state);
    for (int round = 0; round < ROUNDS; round++) {
        qn_tensor *x = numbers(ctx, c->shape, round), *y;
        cr_assert_eq(qn_plan_run(plan, &x, 1, &y, 1), QN_OK, "%s", qn_context_message(ctx));
        take(y, r->values[round][0]);
        for (int i = 0; i < LEAVES; i++) {
            const qn_tensor *grad = qn_grad(state.leaf[i]);
            memset(r->values[round][1 + i], 0, sizeof(r->values[round][1 + i]));
            if (grad)
                take(grad, r->values[round][1 + i]);
            qn_zero_grad(state.leaf[i]);
        }
        qn_step_end(ctx);
    }
    r->counter = qn_context_random(ctx).counter;
    const qn_plan_info info = qn_plan_stats(plan);
    cr_expect_eq(info.replayed, plans ? ROUNDS - 3 : 0, "%s: %s", c->name,
                 info.reason ? info.reason : "");
    r->fused = info.fused;
    qn_context_free(ctx);
}

static void compare(const chain *c, const char *fuse, int threads, const results *eager) {
    results *got = malloc(sizeof(*got));
    cr_assert(got);
    run_chain(c, fuse, true, threads, got);
    cr_expect_arr_eq(got->values, eager->values, sizeof(got->values),
                     "%s: QUERN_FUSE=%s, %d threads", c->name, fuse, threads);
    cr_expect_eq(got->counter, eager->counter, "%s", c->name);
    if (strcmp(fuse, "64") == 0)
        cr_expect_geq(got->fused, c->fused, "%s: %d calls fused", c->name, got->fused);
    if (strcmp(fuse, "off") == 0)
        cr_expect_eq(got->fused, 0, "%s", c->name);
    free(got);
}

Test(plan_fuse, fused_calls_give_the_bits_of_the_step) {
    const char *const sizes[] = {"off", "64", "1000", "on"};
    results *eager = malloc(sizeof(*eager));
    cr_assert(eager);
    for (int i = 0; i < CHAINS; i++) {
        run_chain(&chains[i], "off", false, 1, eager);
        for (size_t size = 0; size < sizeof(sizes) / sizeof(sizes[0]); size++)
            for (int threads = 1; threads <= 3; threads++)
                compare(&chains[i], sizes[size], threads, eager);
    }
    free(eager);
}

static qn_status two_maps(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)data;
    out[0] = qn_exp(qn_neg(in[0]));
    return QN_OK;
}

/** Calls of a step's last replay, and in *fused those that are parts. */
static int calls_of(bool fusion, int *fused) {
    qn_context *ctx = qn_context_new("cpu");
    cr_expect(qn_context_set_fusion(ctx, fusion));
    cr_expect_eq(qn_context_set_fusion(ctx, fusion), fusion);
    qn_plan *plan = qn_plan_new(ctx, two_maps, NULL);
    for (int i = 0; i < 4; i++) {
        qn_tensor *x = numbers(ctx, QN_SHAPE(64, 50), i), *y;
        cr_assert_eq(qn_plan_run(plan, &x, 1, &y, 1), QN_OK);
        qn_step_end(ctx);
    }
    const qn_plan_info info = qn_plan_stats(plan);
    *fused = info.fused;
    qn_context_free(ctx);
    return info.nodes;
}

Test(plan_fuse, a_context_can_do_without) {
    int fused;
    setenv("QUERN_FUSE", "1024", 1);
    cr_expect_eq(calls_of(true, &fused), 1);
    cr_expect_eq(fused, 2);
    cr_expect_eq(calls_of(false, &fused), 2);
    cr_expect_eq(fused, 0);
}

/* ---- memory under two names -------------------------------------------------------------- */

/* Two calls that could meet, and a third between them that writes what the first has read, under
 * another name: an input that the step knows besides, or another input. */
static qn_status overwrites(void *data, qn_tensor *const *in, qn_tensor **out) {
    qn_tensor *other = data ? *(qn_tensor **)data : in[1];
    qn_tensor *before = qn_exp(in[0]);
    qn_copy(other, qn_affine(in[0], 0.5, 0.25));
    out[0] = qn_mul(before, in[0]);
    return QN_OK;
}

/** What a step gives that overwrites one of two inputs, which are one tensor in every round but
 * the fifth; `knows`: it knows the tensor besides, and has one input. */
static void run_overwriting(bool plans, bool knows, float values[ROUNDS + 2][2][MOST]) {
    qn_context *ctx = qn_context_new("cpu");
    qn_context_set_plans(ctx, plans);
    qn_tensor *one = qn_keep(numbers(ctx, QN_SHAPE(37, 11), 1));
    qn_tensor *two = qn_keep(numbers(ctx, QN_SHAPE(37, 11), 2));
    qn_plan *plan = qn_plan_new(ctx, overwrites, knows ? &one : NULL);
    for (int round = 0; round < ROUNDS + 2; round++) {
        qn_tensor *in[] = {round == 5 ? two : one, one}, *y;
        cr_assert_eq(qn_plan_run(plan, in, knows ? 1 : 2, &y, 1), QN_OK);
        take(y, values[round][0]);
        take(one, values[round][1]);
        qn_step_end(ctx);
    }
    cr_expect_eq(qn_plan_stats(plan).replayed, plans ? ROUNDS - 2 : 0);
    qn_context_free(ctx);
}

Test(plan_fuse, memory_under_two_names_keeps_the_order_of_calls) {
    static float eager[ROUNDS + 2][2][MOST], planned[ROUNDS + 2][2][MOST];
    setenv("QUERN_FUSE", "64", 1);
    for (int knows = 0; knows < 2; knows++) {
        run_overwriting(false, knows, eager);
        run_overwriting(true, knows, planned);
        cr_expect_arr_eq(planned, eager, sizeof(eager), "known besides: %d", knows);
    }
}

/* ---- what calls cost --------------------------------------------------------------------- */

static qn_view view_of(qn_shape shape) { return qni_view_of(QN_F32, shape); }

Test(plan_fuse, each_operation_says_what_it_costs) {
    const qn_view some[QN_MAX_INPUTS] = {view_of(QN_SHAPE(2, 2, 2, 2)),
                                         view_of(QN_SHAPE(2, 2, 2, 2)),
                                         view_of(QN_SHAPE(2, 2, 2, 2))};
    for (const qni_op *const *op = qni_op_table; *op; op++) {
        const double operations = qni_operations(*op, some, some);
        cr_expect((*op)->view ? operations < 0 : operations >= 0, "%s", (*op)->name);
    }
}

Test(plan_fuse, operations_are_counted_by_formula) {
    const qn_view image = view_of(QN_SHAPE(2, 3, 8, 8)), weight = view_of(QN_SHAPE(5, 3, 3, 3));
    const qn_view result = view_of(QN_SHAPE(2, 5, 6, 6)), row = view_of(QN_SHAPE(4, 7));
    const qn_view column = view_of(QN_SHAPE(7, 3)), product = view_of(QN_SHAPE(4, 3));
    const double convolution = 2.0 * (2 * 5 * 6 * 6) * (3 * 3 * 3);
    cr_expect_eq(qni_operations(&qni_op_conv2d, (qn_view[]){image, weight}, &result), convolution);
    cr_expect_eq(qni_operations(&qni_op_conv2d_grad_input, (qn_view[]){result, weight}, &image),
                 convolution);
    cr_expect_eq(qni_operations(&qni_op_conv2d_grad_weight, (qn_view[]){image, result}, &weight),
                 convolution);
    cr_expect_eq(qni_operations(&qni_op_matmul, (qn_view[]){row, column}, &product), 2 * 4 * 7 * 3);
    cr_expect_eq(qni_operations(&qni_op_add, (qn_view[]){row, row}, &row), 28);
    cr_expect_eq(qni_operations(&qni_op_sum, &row, &product), 28);
    cr_expect_eq(qni_view_bytes(&row), 0); /* absent */
}
