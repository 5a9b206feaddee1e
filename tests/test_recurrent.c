/* test_recurrent.c: LSTM and GRU, alone and as layers; lengths, directions, states. */
#include <math.h>
#include <stdlib.h>

#include "op_table.h"
#include "with_context.h"

TestSuite(recurrent, .init = open_context, .fini = close_context);

typedef qn_recurrent (*cell_fn)(qn_tensor *x, qn_tensor *w_ih, qn_tensor *w_hh, qn_tensor *b_ih,
                                qn_tensor *b_hh, const qn_recurrent_opts *opts);
static const cell_fn cells[] = {qn_lstm, qn_gru};
static const int64_t gates[] = {4, 3};
enum { CELLS = 2, N = 3, T = 7, IN = 5, HIDDEN = 20 };

/* The weights of a cell. */
typedef struct weights {
    qn_tensor *w_ih, *w_hh, *b_ih, *b_hh;
} weights;

static weights draw_weights(int cell) {
    const int64_t rows = gates[cell] * HIDDEN;
    return (weights){.w_ih = qn_normal(ctx, QN_F32, QN_SHAPE(rows, IN), 0, 1),
                     .w_hh = qn_normal(ctx, QN_F32, QN_SHAPE(rows, HIDDEN), 0, 0.25),
                     .b_ih = qn_normal(ctx, QN_F32, QN_SHAPE(rows), 0, 0.5),
                     .b_hh = qn_normal(ctx, QN_F32, QN_SHAPE(rows), 0, 0.5)};
}

static qn_recurrent call(int cell, const weights *w, qn_tensor *x, const qn_recurrent_opts *opts) {
    qn_recurrent r = cells[cell](x, w->w_ih, w->w_hh, w->b_ih, w->b_hh, opts);
    cr_assert(r.y && r.h && (cell == 1 || r.c), "%s", qn_context_message(ctx));
    return r;
}

/* Both are alike to within rounding: tile heights differ with the number
 * of samples, sums do not. */
static void expect_alike(qn_tensor *a, qn_tensor *b, const char *what) {
    cr_assert(a && b, "%s: %s", what, qn_context_message(ctx));
    double *left = op_values(a), *right = op_values(b);
    cr_assert_eq(qn_tensor_count(a), qn_tensor_count(b), "%s", what);
    for (int64_t i = 0; i < qn_tensor_count(a); i++)
        cr_assert_float_eq(left[i], right[i], 1e-6, "%s: element %lld is %.9g, expected %.9g", what,
                           (long long)i, left[i], right[i]);
    free(left);
    free(right);
}

static qn_tensor *lengths_of(const int64_t *values) {
    return qn_from_data(ctx, QN_I64, QN_SHAPE(N), values);
}

/* Steps in the other order. */
static qn_tensor *turned(qn_tensor *x) {
    qn_tensor *steps[T];
    const int64_t count = qn_tensor_dim(x, 1);
    for (int64_t t = 0; t < count; t++)
        steps[t] = qn_slice(x, 1, count - 1 - t, count - t);
    return qn_concat(steps, (int)count, 1);
}

Test(recurrent, a_padded_sample_gives_what_it_gives_alone) {
    const int64_t lengths[N] = {4, 7, 1};
    for (int cell = 0; cell < CELLS; cell++)
        for (int reverse = 0; reverse < 2; reverse++) {
            const weights w = draw_weights(cell);
            qn_tensor *x = qn_normal(ctx, QN_F32, QN_SHAPE(N, T, IN), 0, 1);
            const qn_recurrent_opts padded = {.lengths = lengths_of(lengths), .reverse = reverse};
            const qn_recurrent_opts alone = {.reverse = reverse};
            qn_recurrent all = call(cell, &w, x, &padded);
            for (int64_t i = 0; i < N; i++) {
                qn_tensor *sample = qn_slice(qn_slice(x, 0, i, i + 1), 1, 0, lengths[i]);
                qn_recurrent one = call(cell, &w, sample, &alone);
                qn_tensor *y = qn_slice(qn_slice(all.y, 0, i, i + 1), 1, 0, lengths[i]);
                expect_alike(y, one.y, "y");
                expect_alike(qn_slice(all.h, 0, i, i + 1), one.h, "h");
                if (cell == 0)
                    expect_alike(qn_slice(all.c, 0, i, i + 1), one.c, "c");
            }
        }
}

Test(recurrent, nothing_of_the_padding_comes_through) {
    for (int cell = 0; cell < CELLS; cell++) {
        const weights w = draw_weights(cell);
        const int64_t lengths[N] = {4, 0, 6};
        const qn_recurrent_opts opts = {.lengths = lengths_of(lengths)};
        qn_tensor *x = qn_require_grad(qn_normal(ctx, QN_F32, QN_SHAPE(N, T, IN), 0, 1));
        for (int64_t i = 0; i < N; i++)
            qn_fill(qn_slice(qn_slice(x, 0, i, i + 1), 1, lengths[i], T), NAN);
        qn_recurrent r = call(cell, &w, x, &opts);
        expect_alike(qn_slice(r.h, 0, 1, 2), qn_zeros(ctx, QN_F32, QN_SHAPE(1, HIDDEN)),
                     "no steps");
        cr_assert_eq(qn_backward(qn_add(qn_sum(r.h, QN_ALL, false), qn_sum(r.y, QN_ALL, false))),
                     QN_OK);
        double *grad = op_values(qn_grad(x));
        for (int64_t i = 0; i < (int64_t)N * T * IN; i++)
            if (i / IN % T >= lengths[i / (T * IN)])
                cr_assert_eq(grad[i], 0, "element %lld: %g", (long long)i, grad[i]);
            else
                cr_assert(isfinite(grad[i]) && grad[i] != 0);
        free(grad);
    }
}

Test(recurrent, reverse_is_forward_on_turned_steps) {
    for (int cell = 0; cell < CELLS; cell++) {
        const weights w = draw_weights(cell);
        qn_tensor *x = qn_normal(ctx, QN_F32, QN_SHAPE(N, T, IN), 0, 1);
        qn_tensor *h0 = qn_normal(ctx, QN_F32, QN_SHAPE(N, HIDDEN), 0, 1);
        const qn_recurrent_opts backward = {.h0 = h0, .reverse = true}, forward = {.h0 = h0};
        qn_recurrent a = call(cell, &w, x, &backward), b = call(cell, &w, turned(x), &forward);
        expect_alike(a.y, turned(b.y), "y");
        expect_alike(a.h, b.h, "h");
    }
}

Test(recurrent, a_state_carried_on_is_one_long_call) {
    for (int cell = 0; cell < CELLS; cell++) {
        const weights w = draw_weights(cell);
        qn_tensor *x = qn_normal(ctx, QN_F32, QN_SHAPE(N, T, IN), 0, 1);
        qn_recurrent whole = call(cell, &w, x, NULL);
        qn_recurrent first = call(cell, &w, qn_slice(x, 1, 0, 3), NULL);
        const qn_recurrent_opts opts = {.h0 = first.h, .c0 = first.c};
        qn_recurrent rest = call(cell, &w, qn_slice(x, 1, 3, T), &opts);
        expect_alike(qn_slice(whole.y, 1, 3, T), rest.y, "y");
        expect_alike(whole.h, rest.h, "h");
        qn_recurrent none = call(cell, &w, qn_slice(x, 1, 0, 0), &opts);
        expect_alike(none.h, first.h, "no steps");
    }
}

Test(recurrent, a_second_derivative_is_refused_in_words) {
    for (int cell = 0; cell < CELLS; cell++) {
        const weights w = draw_weights(cell);
        qn_tensor *x = qn_require_grad(qn_normal(ctx, QN_F32, QN_SHAPE(N, T, IN), 0, 1)), *grad;
        qn_recurrent r = call(cell, &w, x, NULL);
        cr_assert_eq(qn_gradients(qn_sum(r.h, QN_ALL, false), &x, 1, &grad, true), QN_OK);
        cr_assert_neq(qn_backward(qn_sum(grad, QN_ALL, false)), QN_OK);
        expect_error(QN_NOT_DIFFERENTIABLE,
                     cell == 0 ? "lstm_grad: has no derivative" : "gru_grad: has no derivative");
        qn_step_end(ctx);
    }
}

Test(recurrent, what_does_not_fit_is_said) {
    const weights w = draw_weights(0), g = draw_weights(1);
    qn_tensor *x = qn_zeros(ctx, QN_F32, QN_SHAPE(N, T, IN));
    cr_expect_null(
        qn_lstm(qn_zeros(ctx, QN_F32, QN_SHAPE(T, IN)), w.w_ih, w.w_hh, NULL, NULL, NULL).y);
    expect_error(QN_SHAPE_MISMATCH, "lstm: expects x [n, t, in]");
    cr_expect_null(qn_lstm(x, g.w_ih, w.w_hh, NULL, NULL, NULL).y);
    expect_error(QN_SHAPE_MISMATCH, "got [3, 7, 5], [60, 5] and [80, 20]");
    cr_expect_null(qn_gru(x, g.w_ih, g.w_hh, g.b_ih, w.b_hh, NULL).y);
    expect_error(QN_SHAPE_MISMATCH, "gru: b_hh must be [60], is [80]");
    cr_expect_null(qn_lstm(x, w.w_ih, w.w_hh, qn_zeros(ctx, QN_F32, QN_SHAPE(1)), w.b_hh, NULL).y);
    expect_error(QN_SHAPE_MISMATCH, "lstm: b_ih must be [80], is [1]");
    cr_expect_null(qn_gru(x, g.w_ih, g.w_hh, NULL, NULL, &(qn_recurrent_opts){.c0 = x}).y);
    expect_error(QN_INVALID_ARGUMENT, "gru: has no cell state");
    const int64_t lengths[N] = {7, 8, 0};
    const qn_recurrent_opts long_one = {.lengths = lengths_of(lengths)};
    expect_data_error(qn_lstm(x, w.w_ih, w.w_hh, NULL, NULL, &long_one).y, QN_INVALID_ARGUMENT,
                      "lstm: length of sample 1 is 8, expected 0 .. 7");
    expect_data_error(qn_sequence_max(x, long_one.lengths), QN_INVALID_ARGUMENT,
                      "sequence_max: length of sample 1 is 8, expected 0 .. 7");
    const qn_recurrent_opts state = {.h0 = qn_zeros(ctx, QN_F32, QN_SHAPE(N, IN))};
    cr_expect_null(qn_lstm(x, w.w_ih, w.w_hh, NULL, NULL, &state).h);
    expect_error(QN_SHAPE_MISMATCH, "lstm: input 2 must be [3, 20], is [3, 5]");
}

/* ---- layers ------------------------------------------------------------------------------ */

Test(recurrent, layers_are_named_as_in_the_fields_libraries) {
    const qn_nn_recurrent_opts opts = {.layers = 2, .bidirectional = true};
    qn_module *module = qn_nn_lstm(ctx, IN, HIDDEN, &opts);
    cr_assert_eq(qn_module_tensor_count(module), 16);
    cr_expect_str_eq(qn_module_tensor(module, 0).name, "weight_ih_l0");
    cr_expect_str_eq(qn_module_tensor(module, 5).name, "weight_hh_l0_reverse");
    cr_expect_str_eq(qn_module_tensor(module, 15).name, "bias_hh_l1_reverse");
    cr_expect_eq(qn_tensor_dim(qn_module_find(module, "weight_ih_l1"), 1), 2 * HIDDEN);
    double *values = op_values(qn_module_find(module, "weight_hh_l0")), greatest = 0;
    for (int64_t i = 0; i < 4 * HIDDEN * HIDDEN; i++)
        greatest = fmax(greatest, fabs(values[i]));
    cr_expect(greatest <= 1 / sqrt(HIDDEN) && greatest > 0.95 / sqrt(HIDDEN), "%g", greatest);
    free(values);
}

Test(recurrent, layers_are_cells_one_after_the_other) {
    const qn_nn_recurrent_opts opts = {.layers = 2, .bidirectional = true};
    const int64_t lengths[N] = {4, 7, 1};
    for (int cell = 0; cell < CELLS; cell++) {
        qn_module *module = (cell ? qn_nn_gru : qn_nn_lstm)(ctx, IN, HIDDEN, &opts);
        qn_tensor *y = qn_normal(ctx, QN_F32, QN_SHAPE(N, T, IN), 0, 1), *h[4];
        qn_recurrent got = qn_nn_recurrent_forward(module, y, lengths_of(lengths), NULL);
        for (int layer = 0; layer < 2; layer++) {
            qn_tensor *both[2];
            for (int d = 0; d < 2; d++) {
                qn_tensor *w[4];
                for (int k = 0; k < 4; k++)
                    w[k] = qn_module_tensor(module, (2 * layer + d) * 4 + k).tensor;
                const qn_recurrent_opts one = {.lengths = lengths_of(lengths), .reverse = d};
                qn_recurrent r = call(cell, &(weights){w[0], w[1], w[2], w[3]}, y, &one);
                both[d] = r.y;
                h[2 * layer + d] = r.h;
            }
            y = qn_concat(both, 2, 2);
        }
        expect_alike(got.y, y, "y");
        expect_alike(got.h, qn_stack(h, 4, 0), "h");
        cr_expect_eq(got.c != NULL, cell == 0);
    }
}

Test(recurrent, layers_go_on_from_a_state) {
    for (int cell = 0; cell < CELLS; cell++) {
        const qn_nn_recurrent_opts opts = {.layers = 2};
        qn_module *module = (cell ? qn_nn_gru : qn_nn_lstm)(ctx, IN, HIDDEN, &opts);
        qn_tensor *x = qn_normal(ctx, QN_F32, QN_SHAPE(N, T, IN), 0, 1);
        qn_recurrent first = qn_nn_recurrent_forward(module, qn_slice(x, 1, 0, 3), NULL, NULL);
        qn_recurrent rest = qn_nn_recurrent_forward(module, qn_slice(x, 1, 3, T), NULL, &first);
        expect_alike(qn_slice(qn_forward(module, x), 1, 3, T), rest.y, "y");
    }
}

Test(recurrent, dropout_acts_between_layers_while_training) {
    const qn_nn_recurrent_opts opts = {.layers = 2, .dropout = 0.5};
    qn_module *two = qn_nn_gru(ctx, IN, HIDDEN, &opts), *one = qn_nn_gru(ctx, IN, HIDDEN, NULL);
    qn_tensor *x = qn_normal(ctx, QN_F32, QN_SHAPE(N, T, IN), 0, 1);
    const uint64_t before = qn_context_random(ctx).counter;
    cr_assert_not_null(qn_forward(two, x));
    cr_expect_gt(qn_context_random(ctx).counter, before);
    qn_module_train(two, false);
    const uint64_t after = qn_context_random(ctx).counter;
    expect_alike(qn_forward(two, x), qn_forward(two, x), "evaluation");
    cr_assert_not_null(qn_forward(one, x));
    cr_expect_eq(qn_context_random(ctx).counter, after);
}

Test(recurrent, layers_that_cannot_be_are_refused) {
    cr_expect_null(qn_nn_lstm(ctx, 0, HIDDEN, NULL));
    expect_error(QN_INVALID_ARGUMENT, "lstm: in and hidden must be at least 1");
    cr_expect_null(
        qn_nn_gru(ctx, IN, HIDDEN, &(qn_nn_recurrent_opts){.layers = 9, .bidirectional = true}));
    expect_error(QN_INVALID_ARGUMENT, "gru: layers times directions");
    cr_expect_null(qn_nn_gru(ctx, IN, HIDDEN, &(qn_nn_recurrent_opts){.dropout = 1}));
    expect_error(QN_INVALID_ARGUMENT, "gru: dropout must be in [0, 1)");
    qn_module *linear = qn_nn_linear(ctx, IN, HIDDEN, NULL);
    qn_tensor *x = qn_zeros(ctx, QN_F32, QN_SHAPE(N, T, IN));
    cr_expect_null(qn_nn_recurrent_forward(linear, x, NULL, NULL).y);
    expect_error(QN_INVALID_ARGUMENT, "expects an lstm or a gru, got linear");
    const qn_recurrent start = {.h = qn_zeros(ctx, QN_F32, QN_SHAPE(2, N, HIDDEN))};
    cr_expect_null(qn_nn_recurrent_forward(qn_nn_lstm(ctx, IN, HIDDEN, NULL), x, NULL, &start).y);
    expect_error(QN_SHAPE_MISMATCH, "lstm: a start state must be [1, 3, 20]");
}
