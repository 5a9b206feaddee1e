/* test_tidy.c: what is tidied up behind modules (qn_tidy_end, qn_backward_once): gradients stay
 * what they are, for every row of the operation table; memory comes back; what is gone is an error
 * and no crash. */
#include <criterion/criterion.h>
#include <string.h>

#include "op_table.h"

/* ---- gradients --------------------------------------------------------------------------- */

/* A module that is a row of the table, between two operations whose derivatives read nothing. */
typedef struct row_module {
    const op_case *row;
    qn_tensor **x;
    const op_inputs *inputs;
} row_module;

static qn_tensor *row_forward(qn_module *self, qn_tensor *unused) {
    const row_module *r = qn_module_data(self);
    qn_tensor *made[OP_MAX_INPUTS];
    (void)unused;
    for (int i = 0; i < r->inputs->count; i++)
        made[i] = r->inputs->input[i].differentiable ? qn_affine(r->x[i], 1, 0) : r->x[i];
    return qn_affine(r->row->call(made), 1, 0);
}

/* The gradients of a row's inputs, one after the other; to be freed. */
static double **gradients(const op_case *row, const op_inputs *inputs, bool tidy) {
    qn_context *ctx = op_context(NULL, NULL);
    qn_context_seed(ctx, 5);
    qn_tensor *x[OP_MAX_INPUTS];
    op_tensors(ctx, inputs, QN_F32, CONTIGUOUS, true, x);
    row_module data = {row, x, inputs};
    qn_module *module = qn_module_new(ctx, "row", row_forward, &data, NULL);
    qn_tensor *y = qn_forward(tidy ? qn_module_tidy(module) : module, x[0]);
    cr_assert_not_null(y, "%s: %s", row->id, qn_context_message(ctx));
    qn_tensor *loss = qn_sum(qn_mul(y, op_weights(ctx, y)), QN_ALL, false);
    cr_assert_eq(tidy ? qn_backward_once(loss) : qn_backward(loss), QN_OK, "%s: %s", row->id,
                 qn_context_message(ctx));
    double **values = calloc((size_t)inputs->count, sizeof(*values));
    for (int i = 0; i < inputs->count; i++)
        values[i] = inputs->input[i].differentiable ? op_values(qn_grad(x[i])) : NULL;
    qn_context_free(ctx);
    return values;
}

/* Whether a row can be called on what another call gave: embedding_bag_rows asks a leaf. */
static bool takes_results(const op_case *row) {
    return row->checks != FORWARD && strcmp(row->id, "embedding_bag_rows") != 0;
}

Test(tidy, no_row_loses_what_its_gradient_reads) {
    for (int i = 0; i < op_case_count; i++) {
        const op_case *row = &op_cases[i];
        if (!takes_results(row))
            continue;
        op_inputs inputs = op_inputs_make(row->small, 1);
        double **expected = gradients(row, &inputs, false), **got = gradients(row, &inputs, true);
        for (int k = 0; k < inputs.count; k++) {
            if (inputs.input[k].differentiable)
                cr_expect_arr_eq(got[k], expected[k],
                                 (size_t)inputs.input[k].count * sizeof(double), "%s: input %d",
                                 row->id, k);
            free(got[k]);
            free(expected[k]);
        }
        free(got);
        free(expected);
        op_inputs_free(&inputs);
    }
}

/* ---- memory ------------------------------------------------------------------------------ */

enum { ROWS = 64, WIDTH = 256, BYTES = ROWS * WIDTH * 4 };

/* Five tensors of BYTES, of which the derivatives read two: the input of gelu and, for the weight's
 * gradient, that of the last layer. */
static qn_module *network(qn_context *ctx) {
    return qn_nn_sequential(ctx, qn_nn_linear(ctx, WIDTH, WIDTH, NULL), qn_nn_gelu(ctx, false),
                            qn_nn_dropout(ctx, 0.5), qn_nn_linear(ctx, WIDTH, WIDTH, NULL),
                            qn_nn_dropout(ctx, 0.5), NULL);
}

static size_t held_after_forward(bool recording, bool training) {
    qn_context *ctx = op_context(NULL, NULL);
    qn_module *net = network(ctx);
    qn_module_train(net, training);
    qn_context_set_grad(ctx, recording);
    qn_tensor *x = qn_keep(qn_normal(ctx, QN_F32, QN_SHAPE(ROWS, WIDTH), 0, 1));
    cr_assert_not_null(qn_forward(net, x), "%s", qn_context_message(ctx)); /* scratch is there */
    qn_step_end(ctx);
    const size_t before = qn_memory_stats(ctx).in_use;
    cr_assert_not_null(qn_forward(net, x), "%s", qn_context_message(ctx));
    const size_t held = qn_memory_stats(ctx).in_use - before;
    qn_context_free(ctx);
    return held;
}

Test(tidy, memory_comes_back_behind_modules) {
    cr_expect_lt(held_after_forward(true, true), 4 * BYTES);
    cr_expect_lt(held_after_forward(false, true), 2 * BYTES, "the result alone is left");
    cr_expect_lt(held_after_forward(false, false), 2 * BYTES, "the result alone is left");
}

Test(tidy, a_last_pass_gives_back_what_it_is_through_with) {
    qn_context *ctx = op_context(NULL, NULL);
    qn_module *net = network(ctx);
    qn_tensor *x = qn_normal(ctx, QN_F32, QN_SHAPE(ROWS, WIDTH), 0, 1);
    cr_assert_eq(qn_backward(qn_sum(qn_forward(net, x), QN_ALL, false)),
                 QN_OK); /* gradients are there */
    qn_step_end(ctx);
    x = qn_normal(ctx, QN_F32, QN_SHAPE(ROWS, WIDTH), 0, 1);
    const size_t before = qn_memory_stats(ctx).in_use;
    qn_tensor *loss = qn_sum(qn_forward(net, x), QN_ALL, false);
    cr_assert_eq(qn_backward_once(loss), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_lt(qn_memory_stats(ctx).in_use - before, 2 * BYTES,
                 "the network's result alone is left");
    qn_context_free(ctx);
}

/* ---- what is gone ------------------------------------------------------------------------ */

Test(tidy, a_second_pass_over_what_is_gone_is_refused) {
    qn_context *ctx = op_context(NULL, NULL);
    qn_tensor *y = qn_forward(network(ctx), qn_ones(ctx, QN_F32, QN_SHAPE(ROWS, WIDTH)));
    qn_tensor *loss = qn_sum(y, QN_ALL, false);
    cr_expect_eq(qn_backward(loss), QN_OK, "any number of passes of the usual kind");
    cr_expect_eq(qn_backward(loss), QN_OK);
    cr_expect_eq(qn_backward_once(loss), QN_OK);
    cr_expect_eq(qn_backward(loss), QN_INVALID_ARGUMENT);
    cr_expect_not_null(strstr(qn_context_message(ctx), "gone"), "%s", qn_context_message(ctx));
    qn_context_free(ctx);
}

Test(tidy, what_is_gone_can_neither_be_read_nor_used) {
    qn_context *ctx = op_context(NULL, NULL);
    qn_tensor *x = qn_parameter(ctx, QN_F32, QN_SHAPE(3));
    const int begin = qn_tidy_begin(ctx);
    qn_tensor *middle = qn_affine(x, 2, 0), *y = qn_affine(middle, 2, 0);
    float values[3];
    qn_tidy_end(ctx, begin, &y, 1);
    cr_expect_eq(qn_tensor_read(y, values, sizeof(values)), QN_OK, "results stay");
    cr_expect_eq(qn_tensor_read(middle, values, sizeof(values)), QN_INVALID_ARGUMENT);
    qn_context_clear_error(ctx);
    cr_expect_eq(qn_tensor_write(middle, values, sizeof(values)), QN_INVALID_ARGUMENT);
    qn_context_clear_error(ctx);
    cr_expect_null(qn_affine(middle, 1, 0));
    qn_context_clear_error(ctx);
    cr_expect_null(qn_reshape(middle, QN_SHAPE(3, 1)));
    cr_expect_not_null(strstr(qn_context_message(ctx), "gone"), "%s", qn_context_message(ctx));
    qn_context_clear_error(ctx);
    cr_expect_eq(qn_copy(middle, x), QN_INVALID_ARGUMENT);
    qn_context_free(ctx);
}

static qn_tensor *aside;

/* Holds on to a tensor that is not its result. */
static qn_tensor *forward_with_aside(qn_module *self, qn_tensor *x) {
    (void)self;
    aside = qn_affine(x, 3, 0);
    return qn_affine(x, 2, 0);
}

Test(tidy, what_a_module_of_ones_own_holds_on_to_stays) {
    qn_context *ctx = op_context(NULL, NULL);
    for (int recording = 0; recording < 2; recording++) {
        qn_context_set_grad(ctx, recording);
        qn_module *net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 2, 2, NULL),
                                          qn_module_new(ctx, "own", forward_with_aside, NULL, NULL),
                                          qn_nn_relu(ctx), NULL);
        float values[2];
        cr_assert_not_null(qn_forward(net, qn_ones(ctx, QN_F32, QN_SHAPE(1, 2))));
        cr_expect_eq(qn_tensor_read(aside, values, sizeof(values)), QN_OK, "%s",
                     qn_context_message(ctx));
    }
    qn_context_free(ctx);
}

Test(tidy, of_nothing_is_nothing) {
    qn_tidy_end(NULL, qn_tidy_begin(NULL), NULL, 0);
    cr_expect_null(qn_module_tidy(NULL));
}
