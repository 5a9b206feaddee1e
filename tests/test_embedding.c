/* test_embedding.c: tables looked up by index, their gradients whole and by rows, and rows held to
 * a norm. */
#include <math.h>

#include "scratch.h"
#include "test_device.h"

TestSuite(embedding, .init = scratch_open, .fini = scratch_close);

enum { ROWS = 53, WIDTH = 21, COUNT = ROWS * WIDTH, BAGS = 40, LENGTH = 9 };

static const qn_embedding_opts sparse_opts = {.sparse = true};

static void read_all(const qn_tensor *x, float *values) {
    cr_assert_not_null(x, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_tensor_read(x, values, (size_t)qn_tensor_count(x) * sizeof(float)), QN_OK, "%s",
                 qn_context_message(ctx));
}

static void expect_values(const qn_tensor *x, const float *expected, double tolerance) {
    float *values = malloc((size_t)(qn_tensor_count(x) + 1) * sizeof(float));
    read_all(x, values);
    for (int64_t i = 0; i < qn_tensor_count(x); i++) {
        const double value = values[i], wanted = expected[i];
        cr_expect(fabs(value - wanted) <= tolerance * fmax(1, fabs(wanted)),
                  "element %d is %.9g, expected %.9g", (int)i, value, wanted);
    }
    free(values);
}

static void expect_same_bits(const qn_tensor *a, const qn_tensor *b) {
    static float x[COUNT], y[COUNT];
    read_all(a, x);
    read_all(b, y);
    cr_expect_arr_eq(x, y, (size_t)qn_tensor_count(a) * sizeof(float));
}

static qn_tensor *ids(int64_t n, int64_t length, const int64_t *values) {
    return qn_from_data(ctx, QN_I64, QN_SHAPE(n, length), values);
}

/* Bags of rows from `first` on, some of them more than once. */
static qn_tensor *many_ids(int64_t first, int64_t rows) {
    int64_t values[BAGS * LENGTH];
    for (int i = 0; i < BAGS * LENGTH; i++)
        values[i] = first + (i * i + 3 * i) % rows;
    return ids(BAGS, LENGTH, values);
}

/* A table with the same values each time. */
static qn_tensor *new_table(qn_dtype dtype, bool sparse) {
    float values[COUNT];
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)sin(i + 1);
    qn_tensor *table =
        qn_keep(qn_cast(qn_from_data(ctx, QN_F32, QN_SHAPE(ROWS, WIDTH), values), dtype));
    return sparse ? qn_require_sparse_grad(table) : qn_require_grad(table);
}

static void backward(qn_tensor *y) {
    cr_assert_eq(qn_backward(qn_sum(qn_mul(y, y), QN_ALL, false)), QN_OK, "%s",
                 qn_context_message(ctx));
}

/* ---- values and gradients by hand ---------------------------------------------------------- */

static qn_tensor *three_rows(void) {
    const float values[] = {1, 2, 3, 4, 5, 6};
    return qn_require_grad(qn_from_data(ctx, QN_F32, QN_SHAPE(3, 2), values));
}

Test(embedding, rows_and_their_gradient) {
    qn_tensor *table = three_rows();
    qn_tensor *y = qn_embedding(table, ids(2, 2, (int64_t[]){2, 0, 2, 1}), 0);
    cr_assert_eq(qn_tensor_shape(y).rank, 3);
    expect_values(y, (float[]){5, 6, 1, 2, 5, 6, 3, 4}, 0);
    backward(y);
    expect_values(qn_grad(table), (float[]){0, 0, 6, 8, 20, 24}, 0); /* 2 y, and none for padding */
}

Test(embedding, bags_and_their_gradient) {
    const int64_t bags[] = {2, 0, 1, 0, 0, 0};
    qn_tensor *table = three_rows();
    expect_values(qn_embedding_bag(table, ids(2, 3, bags), 0, QN_BAG_SUM), (float[]){8, 10, 0, 0},
                  0);
    qn_tensor *y = qn_embedding_bag(table, ids(2, 3, bags), 0, QN_BAG_MEAN);
    expect_values(y, (float[]){4, 5, 0, 0}, 0);
    backward(y);
    expect_values(qn_grad(table), (float[]){0, 0, 4, 5, 4, 5}, 0);
    expect_values(qn_embedding_bag(table, ids(2, 3, bags), -1, QN_BAG_SUM), (float[]){9, 12, 3, 6},
                  0);
}

/* The gradient of sum(g * dtable) with respect to g is what is looked up, and nothing for
 * padding. */
Test(embedding, second_derivatives_leave_padding_out) {
    const int64_t rows[] = {2, 0, 2, 1};
    qn_tensor *table = three_rows(),
              *factor = qn_require_grad(qn_ones(ctx, QN_F32, QN_SHAPE(4, 2)));
    qn_tensor *index = qn_from_data(ctx, QN_I64, QN_SHAPE(4), rows), *grad, *second;
    qn_tensor *loss = qn_sum(qn_mul(factor, qn_embedding(table, index, 0)), QN_ALL, false);
    cr_assert_eq(qn_gradients(loss, &table, 1, &grad, true), QN_OK);
    loss = qn_sum(qn_mul(grad, three_rows()), QN_ALL, false);
    cr_assert_eq(qn_gradients(loss, &factor, 1, &second, false), QN_OK);
    expect_values(second, (float[]){5, 6, 0, 0, 5, 6, 3, 4}, 0);
}

Test(embedding, of_nothing) {
    qn_tensor *table = three_rows();
    qn_tensor *y = qn_embedding(table, qn_empty(ctx, QN_I64, QN_SHAPE(0, 4)), -1);
    cr_assert_eq(qn_tensor_count(y), 0);
    qn_tensor *none =
        qn_embedding_bag(table, qn_empty(ctx, QN_I64, QN_SHAPE(2, 0)), -1, QN_BAG_MEAN);
    expect_values(none, (float[]){0, 0, 0, 0}, 0);
    backward(none);
    expect_values(qn_grad(table), (float[]){0, 0, 0, 0, 0, 0}, 0);
}

Test(embedding, refusals) {
    qn_tensor *table = three_rows();
    if (test_on_cpu()) { /* other devices say it at the next wait: test_cuda.c */
        cr_expect_null(qn_embedding(table, ids(1, 2, (int64_t[]){1, 3}), -1));
        expect_message(QN_INVALID_ARGUMENT, "embedding: index 3 at position 1 is outside 0 .. 2");
        cr_expect_null(qn_embedding_bag(table, ids(1, 2, (int64_t[]){-1, 0}), -1, QN_BAG_SUM));
        expect_message(QN_INVALID_ARGUMENT,
                       "embedding_bag: index -1 at position 0 is outside 0 .. 2");
    }
    cr_expect_null(qn_embedding(table, ids(1, 1, (int64_t[]){0}), 3));
    expect_message(QN_INVALID_ARGUMENT,
                   "embedding: padding 3 is neither a row, 0 .. 2, nor -1 for none");
    cr_expect_null(qn_embedding(table, table, -1));
    expect_message(QN_DTYPE_MISMATCH, "embedding: input 1 must be i64, got f32");
    cr_expect_null(qn_embedding_bag(table, qn_zeros(ctx, QN_I64, QN_SHAPE(2)), -1, QN_BAG_SUM));
    expect_message(QN_SHAPE_MISMATCH, "embedding_bag: input 1 must have 2 axes: [2]");
    cr_expect_null(qn_require_sparse_grad(qn_zeros(ctx, QN_F32, QN_SHAPE(4))));
    expect_message(QN_SHAPE_MISMATCH,
                   "require_sparse_grad: expects a table [rows, width], got [4]");
    backward(qn_embedding(table, ids(1, 1, (int64_t[]){0}), -1));
    cr_expect_null(qn_require_sparse_grad(table));
    expect_message(QN_INVALID_ARGUMENT, "require_sparse_grad: ask before the first gradient, and "
                                        "before an optimizer is made: [3, 2]");
}

/* ---- sparse gradients ------------------------------------------------------------------------ */

Test(embedding, sparse_gradients_are_the_dense_ones_to_the_bit) {
    for (int threads = 1; threads <= 4; threads += 3) {
        qn_context_set_threads(ctx, threads);
        qn_tensor *dense = new_table(QN_F32, false), *sparse = new_table(QN_F32, true);
        cr_assert(qn_requires_sparse_grad(sparse) && !qn_requires_sparse_grad(dense));
        backward(qn_embedding(dense, many_ids(5, 40), 7));
        backward(qn_embedding(sparse, many_ids(5, 40), 7));
        expect_same_bits(qn_grad(dense), qn_grad(sparse));
        qn_zero_grad(dense);
        qn_zero_grad(sparse);
        backward(qn_embedding_bag(dense, many_ids(0, 9), 7, QN_BAG_MEAN));
        backward(qn_embedding_bag(sparse, many_ids(0, 9), 7, QN_BAG_MEAN));
        expect_same_bits(qn_grad(dense), qn_grad(sparse));
    }
}

Test(embedding, only_rows_looked_up_are_seen) {
    qn_tensor *table = new_table(QN_F32, true), *seen;
    cr_expect_null(qn_grad(table));
    cr_expect_null(qn_sparse_grad(table, &seen));
    cr_expect_null(seen);
    for (int pass = 0; pass < 2; pass++) {
        const int64_t rows[] = {pass, 4, 4, 9};
        uint8_t marks[ROWS];
        backward(qn_embedding(table, ids(1, 4, rows), 9));
        cr_assert_not_null(qn_sparse_grad(table, &seen));
        cr_assert_eq(qn_tensor_read(seen, marks, ROWS), QN_OK);
        for (int i = 0; i < ROWS; i++)
            cr_expect_eq(marks[i], i == pass || i == 4, "pass %d, row %d", pass, i);
        qn_zero_grad(table);
        cr_expect_null(qn_grad(table));
    }
}

/* What lies in rows that were not seen does not matter, and reading the gradient does not mark
 * them. */
Test(embedding, unseen_rows_read_as_zeros) {
    qn_tensor *table = new_table(QN_F32, true), *seen;
    float grad[COUNT];
    backward(qn_embedding(table, ids(1, 1, (int64_t[]){3}), -1));
    qn_fill(qn_grad(table), NAN);
    qn_zero_grad(table);
    backward(qn_embedding(table, ids(1, 2, (int64_t[]){3, 8}), -1));
    read_all(qn_grad(table), grad);
    for (int i = 0; i < COUNT; i++)
        cr_expect(i / WIDTH == 3 || i / WIDTH == 8 ? grad[i] != 0 && isfinite(grad[i])
                                                   : grad[i] == 0);
    qn_sparse_grad(table, &seen);
    cr_expect_eq(qn_item(qn_sum(qn_cast(seen, QN_F32), QN_ALL, false)), 2);
}

Test(embedding, gradients_of_several_passes_add_up) {
    qn_tensor *dense = new_table(QN_F32, false), *sparse = new_table(QN_F32, true);
    static float expected[COUNT];
    for (int pass = 0; pass < 3; pass++) {
        backward(qn_embedding(dense, many_ids(10 * pass, 15), -1));
        backward(qn_embedding(sparse, many_ids(10 * pass, 15), -1));
    }
    read_all(qn_grad(dense), expected);
    expect_values(qn_grad(sparse), expected, 1e-5);
}

/* One gradient by rows and one of all rows, in either order: the last call is the first on the way
 * back. What an earlier gradient left in the memory does not matter. */
Test(embedding, a_tied_table_gets_both_gradients) {
    static float expected[COUNT];
    for (int dense_first = 0; dense_first < 2; dense_first++)
        for (int sparse = 0; sparse < 2; sparse++) {
            qn_tensor *table = new_table(QN_F32, sparse);
            qn_tensor *x = qn_ones(ctx, QN_F32, QN_SHAPE(2, WIDTH));
            backward(qn_embedding(table, many_ids(0, 6), -1));
            qn_fill(qn_grad(table), NAN);
            qn_zero_grad(table);
            qn_tensor *early = dense_first ? NULL : qn_linear(x, table, NULL);
            qn_tensor *rows = qn_embedding(table, many_ids(20, 6), -1);
            qn_tensor *products = early ? early : qn_linear(x, table, NULL);
            backward(qn_add(qn_mean(rows, QN_ALL, false), qn_mean(products, QN_ALL, false)));
            if (sparse)
                expect_values(qn_grad(table), expected, 1e-6);
            else
                read_all(qn_grad(table), expected);
        }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static qn_tensor *hyper(const qn_tensor *p) {
    const float values[QN_HYPER_COUNT] = {0.25f, 3, 0.5f};
    return qn_cast(qn_from_data(ctx, QN_F32, QN_SHAPE(QN_HYPER_COUNT), values), qn_tensor_dtype(p));
}

static qn_status step(const qn_optimizer_kind *kind, qn_tensor **x, qn_tensor *seen) {
    const qn_optimizer_spec spec = {.kind = kind,
                                    .weight_decay = 0.1,
                                    .momentum = 0.5,
                                    .beta1 = 0.5,
                                    .beta2 = 0.75,
                                    .alpha = 0.5,
                                    .rho = 0.5,
                                    .epsilon = 0.1};
    return kind->step(&(qn_optimizer_move){.p = x[0],
                                           .grad = x[1],
                                           .state = &x[2],
                                           .hyper = hyper(x[0]),
                                           .seen = seen,
                                           .spec = &spec});
}

/* Rows seen move as in a step of all, the others keep their values and state. */
static void check_step(const qn_optimizer_kind *kind, qn_dtype dtype) {
    uint8_t marks[ROWS];
    for (int i = 0; i < ROWS; i++)
        marks[i] = i % 7 == 0 || i > ROWS - 4;
    qn_tensor *seen = qn_from_data(ctx, QN_U8, QN_SHAPE(ROWS, 1), marks);
    qn_tensor *before[4], *all[4], *some[4];
    for (int k = 0; k < 4; k++) {
        before[k] =
            qn_affine(qn_detach(new_table(dtype, false)), k < 2 ? 1 : 0.25, k < 2 ? 0 : 0.5);
        all[k] = qn_affine(before[k], 1, 0);
        some[k] = qn_affine(before[k], 1, 0);
    }
    cr_assert_eq(step(kind, all, NULL), QN_OK, "%s", qn_context_message(ctx));
    cr_assert_eq(step(kind, some, seen), QN_OK, "%s", qn_context_message(ctx));
    for (int k = 0; k < 4; k++)
        expect_same_bits(qn_cast(qn_where(seen, all[k], before[k]), QN_F32),
                         qn_cast(some[k], QN_F32));
}

Test(embedding, steps_move_the_rows_seen) {
    const qn_optimizer_kind *kind;
    for (int i = 0; (kind = qn_optimizer_kind_at(i)); i++) {
        cr_assert(kind->sparse, "%s", kind->name);
        check_step(kind, QN_F32);
        check_step(kind, QN_F64);
    }
    qn_tensor *p = qn_ones(ctx, QN_F32, QN_SHAPE(3, 2)), *x[4] = {p, p, p, p};
    cr_expect_eq(step(qn_optimizer_find("adam"), x, qn_zeros(ctx, QN_U8, QN_SHAPE(3))),
                 QN_SHAPE_MISMATCH);
    expect_message(QN_SHAPE_MISMATCH, "adam_step: input 5 must be [3, 1], is [3]");
}

Test(embedding, square_sums_of_rows) {
    const uint8_t marks[] = {1, 0, 1};
    qn_tensor *seen = qn_from_data(ctx, QN_U8, QN_SHAPE(3, 1), marks);
    qn_tensor *x = qn_detach(three_rows());
    cr_expect_eq(qn_item(qn_square_sum_rows(x, seen)), 1 + 4 + 25 + 36);
    cr_expect_eq(qn_item(qn_square_sum_rows(qn_cast(x, QN_F64), seen)), 1 + 4 + 25 + 36);
    cr_expect_eq(qn_item(qn_square_sum_rows(x, NULL)), 91);
}

/* A bag of words: table and a layer above. */
static qn_module *new_net(const qn_embedding_opts *opts) {
    qn_context_seed(ctx, 3);
    return qn_nn_sequential(ctx, qn_nn_embedding_bag(ctx, ROWS, WIDTH, QN_BAG_MEAN, opts),
                            qn_nn_linear(ctx, WIDTH, 4, NULL), NULL);
}

static void train_step(qn_module *net, qn_optimizer *optimizer, int64_t first) {
    cr_assert_not_null(optimizer, "%s", qn_context_message(ctx));
    backward(qn_forward(net, many_ids(first, 12)));
    cr_assert_eq(qn_optimizer_step(optimizer), QN_OK, "%s", qn_context_message(ctx));
    qn_step_end(ctx);
}

static void expect_same_models(const qn_module *a, const qn_module *b) {
    for (int i = 0; i < qn_module_tensor_count(a); i++)
        expect_same_bits(qn_module_tensor(a, i).tensor, qn_module_tensor(b, i).tensor);
}

Test(embedding, first_steps_are_those_of_dense_gradients) {
    const qn_optimizer_spec specs[] = {qn_sgd(0.1, 0.9), qn_adam(0.1), qn_rmsprop(0.1),
                                       qn_adadelta(1)};
    for (int i = 0; i < 4; i++) {
        qn_module *dense = new_net(NULL), *sparse = new_net(&sparse_opts);
        train_step(dense, qn_optimizer_new(dense, specs[i]), 0);
        train_step(sparse, qn_optimizer_new(sparse, specs[i]), 0);
        expect_same_models(dense, sparse);
    }
}

Test(embedding, without_memory_all_steps_are) {
    qn_module *dense = new_net(NULL), *sparse = new_net(&sparse_opts);
    qn_optimizer *one = qn_optimizer_new(dense, qn_sgd(0.1, 0));
    qn_optimizer *other = qn_optimizer_new(sparse, qn_sgd(0.1, 0));
    for (int t = 0; t < 4; t++) {
        train_step(dense, one, 10 * t);
        train_step(sparse, other, 10 * t);
    }
    expect_same_models(dense, sparse);
}

Test(embedding, rows_without_gradient_stay_as_they_are) {
    static float before[COUNT], after[COUNT];
    qn_module *net = new_net(&sparse_opts);
    qn_optimizer_spec spec = qn_adam(0.1);
    spec.weight_decay = 0.1;
    qn_optimizer *optimizer = qn_optimizer_new(net, spec);
    train_step(net, optimizer, 0);
    read_all(qn_module_find(net, "0.weight"), before);
    train_step(net, optimizer, 20);
    read_all(qn_module_find(net, "0.weight"), after);
    cr_expect_arr_eq(before, after, 12 * WIDTH * sizeof(float));
    cr_expect_arr_neq(before, after, sizeof(before));
}

Test(embedding, state_of_sparse_parameters_has_their_names) {
    const char *const names[] = {"exp_avg", "exp_avg_sq", "exp_avg.0.weight",
                                 "exp_avg_sq.0.weight"};
    qn_module *net = new_net(&sparse_opts);
    qn_optimizer *optimizer = qn_optimizer_new(net, qn_adam(0.1));
    cr_assert_eq(qn_optimizer_tensor_count(optimizer), 4);
    for (int i = 0; i < 4; i++)
        cr_expect_str_eq(qn_optimizer_tensor(optimizer, i).name, names[i]);
    cr_expect_eq(qn_tensor_count(qn_optimizer_tensor(optimizer, 3).tensor), COUNT);
    cr_expect_eq(qn_tensor_count(qn_module_flat_parameters(net)), 96 + 16);
}

/* Nothing else to train: the flat buffers are empty. A step without a gradient moves nothing. */
Test(embedding, a_module_of_one_sparse_table) {
    static float before[COUNT];
    qn_module *table = qn_nn_embedding(ctx, ROWS, WIDTH, &sparse_opts);
    qn_optimizer_spec spec = qn_adam(0.1);
    spec.clip_norm = 1;
    qn_optimizer *optimizer = qn_optimizer_new(table, spec);
    read_all(qn_module_find(table, "weight"), before);
    cr_assert_eq(qn_optimizer_step(optimizer), QN_OK, "%s", qn_context_message(ctx));
    expect_values(qn_module_find(table, "weight"), before, 0);
    train_step(table, optimizer, 0);
}

Test(embedding, clipping_counts_the_rows_seen) {
    static float expected[COUNT];
    for (int sparse = 0; sparse < 2; sparse++) {
        qn_module *net = new_net(sparse ? &sparse_opts : NULL);
        qn_optimizer_spec spec = qn_sgd(1, 0);
        spec.clip_norm = 1e-2;
        spec.clip_value = 0.5;
        train_step(net, qn_optimizer_new(net, spec), 0);
        if (sparse)
            expect_values(qn_module_find(net, "0.weight"), expected, 1e-7);
        else
            read_all(qn_module_find(net, "0.weight"), expected);
    }
}

/* ---- rows held to a norm --------------------------------------------------------------------- */

Test(embedding, rows_above_the_norm_are_scaled_down) {
    const float rows[] = {3, 4, 0.3f, 0.4f, 0, 0}, limited[] = {0.6f, 0.8f, 0.3f, 0.4f, 0, 0};
    qn_tensor *x = qn_from_data(ctx, QN_F32, QN_SHAPE(3, 1, 2), rows), *wide = qn_cast(x, QN_F64);
    cr_assert_eq(qn_limit_norm(x, 1), QN_OK);
    expect_values(x, limited, 1e-6);
    cr_assert_eq(qn_limit_norm(wide, 1), QN_OK);
    expect_values(qn_cast(wide, QN_F32), limited, 1e-6);
    qn_tensor *large = qn_full(ctx, QN_F32, QN_SHAPE(3000, WIDTH), 2);
    cr_assert_eq(qn_limit_norm(large, 3), QN_OK);
    cr_expect_float_eq(qn_item(qn_square_sum(large)), 9 * 3000, 0.1);
    qn_tensor *long_rows = qn_full(ctx, QN_F32, QN_SHAPE(2, 1031), 0.7);
    cr_assert_eq(qn_limit_norm(long_rows, 3), QN_OK);
    cr_expect_float_eq(qn_item(qn_square_sum(long_rows)), 9 * 2, 1e-4);
    cr_expect_eq(qn_limit_norm(x, 0), QN_INVALID_ARGUMENT);
    expect_message(QN_INVALID_ARGUMENT,
                   "limit_norm: the largest norm must be greater than 0, got 0");
    cr_expect_neq(qn_limit_norm(qn_transpose(x, 0, 2), 1), QN_OK);
    expect_message(QN_SHAPE_MISMATCH, "limit_norm: expects contiguous rows [rows, ...]: [2, 1, 3]");
}

static double largest_norm(const qn_module *net, const char *name) {
    qn_tensor *w = qn_detach(qn_module_find(net, name));
    return sqrt(qn_item(qn_max(qn_sum(qn_mul(w, w), QN_AXES(1), false), QN_ALL, false)));
}

/* Set on the part or on the whole, trained through the whole or the part: the limit holds. */
Test(embedding, limits_stay_with_the_module_that_has_the_parameter) {
    qn_module *part = qn_nn_linear(ctx, WIDTH, 4, NULL);
    cr_assert_eq(qn_module_limit_norm(part, "weight", 0.125), QN_OK);
    qn_module *net = qn_nn_sequential(
        ctx, qn_nn_embedding_bag(ctx, ROWS, WIDTH, QN_BAG_SUM, &sparse_opts), part, NULL);
    cr_assert_eq(qn_module_limit_norm(net, "0.weight", 0.5), QN_OK);
    cr_expect_gt(largest_norm(net, "1.weight"), 0.126);
    train_step(net, qn_optimizer_new(net, qn_sgd(0.01, 0)), 0);
    cr_expect_float_eq(largest_norm(net, "1.weight"), 0.125, 1e-6);
    cr_expect_float_eq(largest_norm(net, "0.weight"), 0.5, 1e-6);
    cr_assert_eq(qn_module_limit_norm(net, "0.weight", 0), QN_OK);
    qn_module *table = qn_module_child(net, 0);
    train_step(table, qn_optimizer_new(table, qn_sgd(0.1, 0)), 0);
    cr_expect_gt(largest_norm(net, "0.weight"), 0.501);
}

Test(embedding, limits_refused) {
    qn_module *net = qn_nn_embedding(ctx, 3, 2, NULL);
    cr_expect_neq(qn_module_limit_norm(net, "weights", 1), QN_OK);
    expect_message(QN_INVALID_ARGUMENT, "embedding: has no parameter \"weights\"");
    cr_expect_neq(qn_module_limit_norm(net, "weight", -1), QN_OK);
    expect_message(QN_INVALID_ARGUMENT,
                   "embedding: the largest norm of \"weight\" must be at least 0, got -1");
    cr_expect_null(qn_nn_embedding_bag(ctx, 0, 2, QN_BAG_SUM, NULL));
    expect_message(QN_INVALID_ARGUMENT,
                   "embedding_bag: rows and width must be at least 1, got 0 and 2");
}

/* ---- layers and runs ------------------------------------------------------------------------- */

Test(embedding, the_row_of_padding_stays_zeros) {
    const qn_embedding_opts opts = {.padding = true};
    qn_module *net = new_net(&opts);
    const float zeros[WIDTH] = {0};
    qn_optimizer *optimizer = qn_optimizer_new(net, qn_adam(0.1));
    train_step(net, optimizer, 0);
    train_step(net, optimizer, 0);
    expect_values(qn_slice(qn_detach(qn_module_find(net, "0.weight")), 0, 0, 1), zeros, 0);
    qn_tensor *empty = qn_forward(qn_module_child(net, 0), ids(1, 2, (int64_t[]){0, 0}));
    expect_values(empty, zeros, 0);
}

enum { SAMPLES = 24, CLASSES = 4 };

static qn_status get_bag(void *data, int64_t index, void *x, void *y) {
    (void)data;
    for (int i = 0; i < LENGTH; i++)
        ((int64_t *)x)[i] = (7 * index + i * i) % ROWS;
    *(int64_t *)y = index % CLASSES;
    return QN_OK;
}

static void run_to(const char *save, int epochs, const char *checkpoint, const char *resume) {
    qn_dataset_desc desc = {.name = "bags",
                            .count = SAMPLES,
                            .x_dtype = QN_I64,
                            .x_shape = QN_SHAPE(LENGTH),
                            .y_dtype = QN_I64,
                            .classes = CLASSES,
                            .get = get_bag};
    qn_fit_opts opts = {.optimizer = qn_adam(0.05),
                        .epochs = epochs,
                        .batch_size = 4,
                        .save = save,
                        .checkpoint = checkpoint,
                        .resume = resume};
    opts.optimizer.clip_norm = 0.5;
    qn_context_free(ctx);
    ctx = qn_context_new(test_device());
    qn_module *net = new_net(&sparse_opts);
    qn_module_limit_norm(net, "1.weight", 1);
    cr_assert_eq(qn_fit(net, qn_dataset_new(ctx, &desc), &opts), QN_OK, "%s",
                 qn_context_message(ctx));
}

Test(embedding, resumed_runs_end_with_the_same_bits) {
    size_t size[2];
    run_to(scratch_path("whole"), 3, NULL, NULL);
    run_to(NULL, 1, scratch_path("state"), NULL);
    run_to(scratch_path("again"), 3, NULL, scratch_path("state"));
    char *whole = scratch_read(scratch_path("whole"), &size[0]);
    char *again = scratch_read(scratch_path("again"), &size[1]);
    cr_assert_eq(size[0], size[1]);
    cr_expect_arr_eq(whole, again, size[0]);
    free(whole);
    free(again);
}
