/* test_refusals.c: products, losses, convolutions and the like given what cannot be: one line that
 * names the operation, the shapes, and what was expected; no result; nothing else happens. */
#include <math.h>

#include "with_context.h"

TestSuite(refusals, .init = open_context, .fini = close_context);

/** No result, this status and message; the context is then as new. */
static void expect_refusal(const qn_tensor *result, qn_status status, const char *message) {
    cr_expect_null(result, "%s", message);
    cr_expect_eq(qn_context_error(ctx, NULL), status, "%s", message);
    cr_expect_str_eq(qn_context_message(ctx), message);
    qn_context_clear_error(ctx);
}

static qn_tensor *ones(qn_shape shape) { return qn_ones(ctx, QN_F32, shape); }

#define ONES(...) ones(QN_SHAPE(__VA_ARGS__))

Test(refusals, matmul) {
    expect_refusal(qn_matmul(ONES(3), ONES(3, 4)), QN_SHAPE_MISMATCH,
                   "matmul: both sides need at least 2 axes (qn_unsqueeze() makes a vector a "
                   "matrix): [3] x [3, 4]");
    expect_refusal(qn_matmul(ONES(64, 784), ONES(512, 10)), QN_SHAPE_MISMATCH,
                   "matmul: inner sizes differ: [64, 784] x [512, 10]");
    expect_refusal(qn_matmul(ONES(2, 3, 4), ONES(5, 4, 3)), QN_SHAPE_MISMATCH,
                   "matmul: leading axes cannot be broadcast: [2, 3, 4] x [5, 4, 3]");
    expect_refusal(qn_matmul(ONES(2, 3), qn_ones(ctx, QN_F64, QN_SHAPE(3, 2))), QN_DTYPE_MISMATCH,
                   "matmul: dtypes differ: f32 x f64");
}

Test(refusals, linear) {
    expect_refusal(qn_linear(ONES(64, 10), ONES(512, 784), NULL), QN_SHAPE_MISMATCH,
                   "linear: input has 10 features but weight expects 784: [64, 10] x [512, 784]");
    expect_refusal(qn_linear(ONES(2, 64, 10), ONES(5, 11), NULL), QN_SHAPE_MISMATCH,
                   "linear: input has 10 features but weight expects 11: [2, 64, 10] x [5, 11]");
    expect_refusal(qn_linear(ONES(64, 10), ONES(5, 10), ONES(6)), QN_SHAPE_MISMATCH,
                   "linear: input 2 must be [5], is [6]");
}

static qn_tensor *classes(int64_t a, int64_t b) {
    return qn_from_data(ctx, QN_I64, QN_SHAPE(2), (int64_t[]){a, b});
}

Test(refusals, cross_entropy) {
    expect_data_error(qn_cross_entropy(ONES(2, 10), classes(3, 12)), QN_INVALID_ARGUMENT,
                      "cross_entropy: target of row 1 is 12, expected 0 .. 9");
    expect_data_error(qn_cross_entropy(ONES(2, 10), classes(-100, 1)), QN_INVALID_ARGUMENT,
                      "cross_entropy: target of row 0 is -100, expected 0 .. 9");
    expect_refusal(qn_cross_entropy(ONES(3, 10), classes(0, 1)), QN_SHAPE_MISMATCH,
                   "cross_entropy: logits are [n, classes, ...] and targets [n, ...], got [3, 10] "
                   "and [2]");
    expect_refusal(qn_cross_entropy(ONES(2, 10), ONES(2)), QN_DTYPE_MISMATCH,
                   "cross_entropy: input 1 must be i64, got f32");
    const qn_cross_entropy_opts opts = {.label_smoothing = 1.5};
    expect_refusal(qn_cross_entropy_with(ONES(2, 10), classes(0, 1), &opts), QN_INVALID_ARGUMENT,
                   "cross_entropy: label smoothing must be within 0 and 1, got 1.5");
}

static qn_tensor *huber_one(qn_tensor *p, qn_tensor *t) { return qn_huber(p, t, 1); }

/* Whatever only broadcasting would join is refused, both shapes named. */
Test(refusals, losses_of_two_shapes) {
    static qn_tensor *(*const losses[])(qn_tensor *, qn_tensor *) = {
        qn_mse, qn_mae, qn_bce_with_logits, qn_observed_mse, huber_one};
    static const char *const names[] = {"mse", "mae", "bce_with_logits", "observed_mse", "huber"};
    const struct {
        qn_shape shape[2];
        const char *text[2];
    } cases[] = {
        {{QN_SHAPE(3), QN_SHAPE(4)}, {"[3]", "[4]"}},
        {{QN_SHAPE(3, 1), QN_SHAPE(3)}, {"[3, 1]", "[3]"}},
        {{QN_SHAPE(3), QN_SHAPE(3, 1)}, {"[3]", "[3, 1]"}},
        {{QN_SHAPE(1), QN_SHAPE(3)}, {"[1]", "[3]"}},
        {{QN_SHAPE(3), QN_SHAPE(1)}, {"[3]", "[1]"}},
        {{QN_SHAPE(3), QN_SCALAR}, {"[3]", "[]"}},
        {{QN_SHAPE(1), QN_SCALAR}, {"[1]", "[]"}},
    };
    for (int loss = 0; loss < 5; loss++)
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            qn_tensor *p = qn_ones(ctx, QN_F32, cases[i].shape[0]);
            qn_tensor *t = qn_ones(ctx, QN_F32, cases[i].shape[1]);
            char expected[256];
            snprintf(expected, sizeof(expected),
                     "%s: prediction %s and target %s must have one shape; if one is meant for "
                     "many, qn_reshape() and qn_expand() say so",
                     names[loss], cases[i].text[0], cases[i].text[1]);
            expect_refusal(losses[loss](p, t), QN_SHAPE_MISMATCH, expected);
            cr_expect_not_null(losses[loss](ONES(4, 3), qn_expand(ONES(1), QN_SHAPE(4, 3))));
        }
    expect_refusal(qn_gaussian_nll(ONES(3, 1), ONES(3, 1), ONES(3)), QN_SHAPE_MISMATCH,
                   "gaussian_nll: mean [3, 1] and target [3] must have one shape; if one is meant "
                   "for many, qn_reshape() and qn_expand() say so");
    expect_refusal(qn_gaussian_nll(ONES(3, 1), ONES(1), ONES(3, 1)), QN_SHAPE_MISMATCH,
                   "gaussian_nll: mean [3, 1] and std [1] must have one shape; if one is meant for "
                   "many, qn_reshape() and qn_expand() say so");
}

Test(refusals, settings_of_huber) {
    expect_refusal(qn_huber(ONES(3), ONES(3), 0), QN_INVALID_ARGUMENT,
                   "huber: delta must be greater than 0, got 0");
    expect_refusal(qn_huber(ONES(3), ONES(3), NAN), QN_INVALID_ARGUMENT,
                   "huber: delta must be greater than 0, got nan");
}

Test(refusals, conv2d_channels_and_groups) {
    qn_tensor *x = ONES(1, 3, 5, 5);
    expect_refusal(qn_conv2d(x, ONES(2, 4, 3, 3), NULL, NULL), QN_SHAPE_MISMATCH,
                   "conv2d: input has 3 channels but weight expects 4: [1, 3, 5, 5] x "
                   "[2, 4, 3, 3]");
    expect_refusal(qn_conv2d(x, ONES(2, 3, 3, 3), NULL, &(qn_conv2d_opts){.groups = 2}),
                   QN_SHAPE_MISMATCH,
                   "conv2d: 2 groups do not divide 3 input and 2 output channels: [1, 3, 5, 5] x "
                   "[2, 3, 3, 3]");
    expect_refusal(
        qn_conv2d(ONES(1, 4, 5, 5), ONES(3, 2, 3, 3), NULL, &(qn_conv2d_opts){.groups = 2}),
        QN_SHAPE_MISMATCH,
        "conv2d: 2 groups do not divide 4 input and 3 output channels: [1, 4, 5, 5] x "
        "[3, 2, 3, 3]");
    expect_refusal(qn_conv2d(x, ONES(2, 3, 3, 3), NULL, &(qn_conv2d_opts){.groups = -1}),
                   QN_INVALID_ARGUMENT, "conv2d: groups must be at least 1, got -1");
    expect_refusal(qn_conv2d(ONES(3, 5, 5), ONES(2, 3, 3, 3), NULL, NULL), QN_SHAPE_MISMATCH,
                   "conv2d: input 0 must have 4 axes: [3, 5, 5]");
}

Test(refusals, conv2d_geometry) {
    qn_tensor *x = ONES(1, 3, 5, 5), *w = ONES(2, 3, 3, 3);
    expect_refusal(qn_conv2d(x, ONES(2, 3, 7, 3), NULL, NULL), QN_SHAPE_MISMATCH,
                   "conv2d: a window of 7 is larger than the padded height of 5: [1, 3, 5, 5]");
    expect_refusal(qn_conv2d(x, w, NULL, &(qn_conv2d_opts){.dilation = {1, INT32_MAX}}),
                   QN_SHAPE_MISMATCH,
                   "conv2d: a window of 4294967295 is larger than the padded width of 5: "
                   "[1, 3, 5, 5]");
    expect_refusal(qn_conv2d(x, w, NULL, &(qn_conv2d_opts){.stride = {1, -2}}), QN_INVALID_ARGUMENT,
                   "conv2d: stride must be at least 1 along the width (kernel 3, stride -2, "
                   "padding 0, dilation 1)");
    expect_refusal(qn_conv2d(x, w, NULL, &(qn_conv2d_opts){.padding = {-1}}), QN_INVALID_ARGUMENT,
                   "conv2d: padding must not be negative along the height (kernel 3, stride 1, "
                   "padding -1, dilation 1)");
    expect_refusal(qn_conv2d(x, ONES(2, 3, 3, 0), NULL, NULL), QN_INVALID_ARGUMENT,
                   "conv2d: kernel must be at least 1 along the width (kernel 0, stride 1, "
                   "padding 0, dilation 1)");
}

Test(refusals, pooling) {
    qn_tensor *x = ONES(1, 1, 4, 4);
    expect_refusal(qn_max_pool2d(x, NULL), QN_INVALID_ARGUMENT,
                   "max_pool2d: kernel must be at least 1 along the height (kernel 0, stride 0, "
                   "padding 0, dilation 1)");
    expect_refusal(qn_max_pool2d(x, &(qn_pool2d_opts){.kernel = {3}, .padding = {1, 2}}),
                   QN_INVALID_ARGUMENT,
                   "max_pool2d: padding must be at most half the kernel along the width, got 2 "
                   "for a kernel of 3");
    expect_refusal(qn_avg_pool2d(x, &(qn_pool2d_opts){.kernel = {5}}), QN_SHAPE_MISMATCH,
                   "avg_pool2d: a window of 5 is larger than the padded height of 4: "
                   "[1, 1, 4, 4]");
    expect_refusal(qn_avg_pool2d(ONES(1, 1, 4, 0), &(qn_pool2d_opts){.kernel = {2}}),
                   QN_SHAPE_MISMATCH, "avg_pool2d: input has a width of 0");
    expect_refusal(qn_adaptive_avg_pool2d(x, 0, 3), QN_INVALID_ARGUMENT,
                   "adaptive_avg_pool2d: height and width must be at least 1, got 0 and 3");
}

Test(refusals, normalisation) {
    qn_tensor *three = ONES(3);
    expect_refusal(qn_batch_norm(ONES(1, 3), NULL, NULL, three, three, true, NULL),
                   QN_INVALID_ARGUMENT,
                   "batch_norm: training needs more than one value per channel: [1, 3]");
    expect_refusal(qn_batch_norm(ONES(2, 3), three, NULL, three, three, true, NULL),
                   QN_INVALID_ARGUMENT, "batch_norm: weight and bias go together");
    expect_refusal(qn_batch_norm(ONES(2, 4), NULL, NULL, three, three, true, NULL),
                   QN_SHAPE_MISMATCH, "batch_norm: input 3 must be [4], is [3]");
    expect_refusal(qn_layer_norm(ONES(2, 3), 3, NULL, NULL, 1e-5), QN_SHAPE_MISMATCH,
                   "layer_norm: cannot normalise the last 3 axes of [2, 3]");
    expect_refusal(qn_layer_norm(ONES(2, 3), 1, NULL, NULL, -1), QN_INVALID_ARGUMENT,
                   "layer_norm: epsilon must not be negative, got -1");
    expect_refusal(qn_dropout(three, 1.5, true), QN_INVALID_ARGUMENT,
                   "dropout: probability must be within 0 and 1, got 1.5");
    expect_refusal(qn_softmax(three, 1), QN_INVALID_ARGUMENT, "softmax: no axis 1 in [3]");
}

Test(refusals, no_derivative_is_said_so) {
    qn_tensor *x = qn_require_grad(ONES(1, 2, 1)), *g;
    qn_tensor *y = qn_gru(x, ONES(3, 1), ONES(3, 1), NULL, NULL, NULL).y;
    cr_assert_eq(qn_gradients(qn_sum(y, QN_ALL, false), &x, 1, &g, true), QN_OK);
    cr_assert_eq(qn_backward(qn_sum(g, QN_ALL, false)), QN_NOT_DIFFERENTIABLE);
    expect_refusal(NULL, QN_NOT_DIFFERENTIABLE,
                   "gru_grad: has no derivative: recurrent layers can be differentiated once; "
                   "linear, sigmoid and tanh, step by step, as often as needed");
}

Test(refusals, arrays_and_functions_that_are_null) {
    const int64_t none[1] = {0};
    qn_tensor *x = qn_require_grad(ONES(3)), *grad;
    qn_tensor *loss = qn_sum(x, QN_ALL, false);
    const char *message = "gradients: needs inputs and a place for their gradients";
    cr_expect_eq(qn_gradients(loss, NULL, 1, &grad, false), QN_INVALID_ARGUMENT);
    expect_refusal(NULL, QN_INVALID_ARGUMENT, message);
    cr_expect_eq(qn_gradients(loss, &x, 1, NULL, false), QN_INVALID_ARGUMENT);
    expect_refusal(NULL, QN_INVALID_ARGUMENT, message);
    cr_expect_eq(qn_context_own(ctx, x, NULL), QN_INVALID_ARGUMENT);
    expect_refusal(NULL, QN_INVALID_ARGUMENT, "own: destroy is NULL");
    cr_expect_null(qn_pad(x, NULL, none, 0));
    expect_refusal(NULL, QN_INVALID_ARGUMENT, "pad: before or after is NULL");
    cr_expect_null(qn_pad(x, none, NULL, 0));
    expect_refusal(NULL, QN_INVALID_ARGUMENT, "pad: before or after is NULL");
}

Test(refusals, optimizer_steps) {
    qn_tensor *p = ONES(2, 3), *hyper = qn_ones(ctx, QN_F32, QN_SHAPE(QN_HYPER_COUNT));
    const qn_optimizer_spec spec = qn_sgd(0.1, 0);
    cr_assert_eq(qn_sgd_step(p, ONES(3, 2), NULL, hyper, NULL, &spec), QN_SHAPE_MISMATCH);
    expect_refusal(NULL, QN_SHAPE_MISMATCH, "sgd_step: input 1 must be [2, 3], is [3, 2]");
    cr_assert_eq(qn_sgd_step(p, p, NULL, hyper, NULL, NULL), QN_INVALID_ARGUMENT);
    expect_refusal(NULL, QN_INVALID_ARGUMENT, "sgd_step: no settings given");
    cr_assert_neq(qn_sgd_step(qn_transpose(p, 0, 1), ONES(3, 2), NULL, hyper, NULL, &spec), QN_OK);
    expect_refusal(NULL, QN_INVALID_ARGUMENT,
                   "sgd_step: parameter and state must be contiguous: [3, 2]");
    qn_tensor *wide = qn_cast(hyper, QN_F64),
              *spread = qn_expand(ONES(1), QN_SHAPE(QN_HYPER_COUNT));
    cr_assert_neq(qn_sgd_step(p, p, NULL, wide, NULL, &spec), QN_OK);
    expect_refusal(NULL, QN_DTYPE_MISMATCH, "sgd_step: input 3 must be f32, got f64");
    cr_assert_neq(qn_sgd_step(p, p, NULL, spread, NULL, &spec), QN_OK);
    expect_refusal(NULL, QN_INVALID_ARGUMENT, "sgd_step: hyper must be contiguous: [4]");
    cr_assert_neq(qn_clip_factor(qn_square_sum(p), wide, 1), QN_OK);
    expect_refusal(NULL, QN_DTYPE_MISMATCH, "clip_factor: input 1 must be f32, got f64");
    cr_assert_neq(qn_clip_factor(qn_square_sum(p), hyper, 0), QN_OK);
    expect_refusal(NULL, QN_INVALID_ARGUMENT,
                   "clip_factor: the largest norm must be greater than 0, got 0");
}
