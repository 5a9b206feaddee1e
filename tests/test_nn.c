/* test_nn.c: modules: names, ownership, flat buffers, layers, initialisers. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "test_device.h"
#include "with_context.h"

TestSuite(nn, .init = open_context, .fini = close_context);

static void read_floats(const qn_tensor *x, float *out, int64_t count) {
    cr_assert_eq(qn_tensor_count(x), count);
    cr_assert_eq(qn_tensor_read(x, out, (size_t)count * sizeof(float)), QN_OK);
}

static void expect_floats(const qn_tensor *x, const float *expected, int64_t count) {
    float values[64];
    cr_assert_leq(count, 64);
    read_floats(x, values, count);
    for (int64_t i = 0; i < count; i++)
        cr_expect_float_eq(values[i], expected[i], 1e-5, "element %lld: %g, not %g", (long long)i,
                           values[i], expected[i]);
}

static void expect_shape(const qn_tensor *x, qn_shape expected) {
    cr_assert_not_null(x, "%s", qn_context_message(ctx));
    cr_assert(qn_shape_equal(qn_tensor_shape(x), expected), "%s, not %s",
              qn_shape_text(qn_tensor_shape(x)).s, qn_shape_text(expected).s);
}

static qn_tensor *floats(qn_shape shape, const float *values) {
    return qn_from_data(ctx, QN_F32, shape, values);
}

/* ---- a module of one's own --------------------------------------------------------------- */

typedef struct scale {
    qn_tensor *factor;
} scale;

static int destroyed; /* scales so far; every test runs in a process of its own */

static qn_tensor *scale_forward(qn_module *self, qn_tensor *x) {
    const scale *layer = qn_module_data(self);
    return qn_mul(x, layer->factor);
}

static void scale_destroy(void *data) {
    destroyed++;
    free(data);
}

static qn_module *new_scale(int64_t features) {
    scale *layer = calloc(1, sizeof(*layer));
    cr_assert_not_null(layer);
    qn_module *module = qn_module_new(ctx, "scale", scale_forward, layer, scale_destroy);
    layer->factor =
        qn_module_add_parameter(module, "factor", qn_ones(ctx, QN_F32, QN_SHAPE(features)));
    return module;
}

/* ---- names ------------------------------------------------------------------------------- */

static void expect_names(const qn_module *module, const char *const *names, int count) {
    cr_assert_eq(qn_module_tensor_count(module), count);
    for (int i = 0; i < count; i++) {
        qn_named_tensor tensor = qn_module_tensor(module, i);
        cr_expect_str_eq(tensor.name, names[i]);
        cr_expect_eq(qn_module_find(module, names[i]), tensor.tensor);
    }
}

Test(nn, names_are_dotted_paths_in_order) {
    qn_module *net = qn_nn_sequential(
        ctx, qn_nn_conv2d(ctx, 1, 2, 3, NULL), qn_nn_batch_norm(ctx, 2, NULL), qn_nn_relu(ctx),
        qn_nn_flatten(ctx), qn_nn_linear(ctx, 8, 3, &(qn_linear_opts){.no_bias = true}), NULL);
    expect_names(net,
                 (const char *[]){"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean",
                                  "1.running_var", "4.weight"},
                 7);
    cr_expect(qn_module_tensor(net, 0).trained);
    cr_expect_not(qn_module_tensor(net, 4).trained);
    cr_expect_eq(qn_module_parameter_count(net), 2 * 9 + 2 + 2 + 2 + 24);
    cr_expect_null(qn_module_find(net, "4.bias"));
    cr_expect_null(qn_module_tensor(net, 7).name);
    cr_expect_null(qn_module_child(net, 5));
    cr_expect_str_eq(qn_module_kind(qn_module_child(net, 2)), "relu");
}

Test(nn, a_tensor_added_below_shows_in_all_modules_around) {
    qn_module *inner = qn_nn_sequential(ctx, new_scale(2), NULL);
    qn_module *outer = qn_nn_sequential(ctx, qn_nn_relu(ctx), inner, NULL);
    qn_module *leaf = qn_module_child(inner, 0);
    const char *before = qn_module_tensor(outer, 0).name;
    cr_assert_not_null(qn_module_add_buffer(leaf, "seen", qn_zeros(ctx, QN_I64, QN_SCALAR)));
    expect_names(leaf, (const char *[]){"factor", "seen"}, 2);
    expect_names(inner, (const char *[]){"0.factor", "0.seen"}, 2);
    expect_names(outer, (const char *[]){"1.0.factor", "1.0.seen"}, 2);
    cr_expect_eq(qn_module_tensor(outer, 0).name, before);
    qn_step_end(ctx);
    cr_expect_eq(qn_item(qn_module_find(outer, "1.0.seen")), 0);
}

Test(nn, bad_parts_are_refused_in_words) {
    qn_module *net = qn_nn_sequential(ctx, qn_nn_relu(ctx), NULL), *layer = new_scale(2);
    cr_expect_null(qn_module_add_parameter(layer, "factor", qn_zeros(ctx, QN_F32, QN_SHAPE(2))));
    expect_error(QN_INVALID_ARGUMENT, "scale: has a part named \"factor\" already");
    cr_expect_null(qn_module_add_child(net, "0", layer));
    expect_error(QN_INVALID_ARGUMENT, "sequential: has a part named \"0\" already");
    cr_expect_null(qn_module_add_child(net, "", layer));
    expect_error(QN_INVALID_ARGUMENT, "needs a name");
    cr_expect_null(qn_module_add_child(net, "self", net));
    expect_error(QN_INVALID_ARGUMENT, "would be part of itself");
    cr_assert_eq(qn_nn_append(net, layer), net);
    cr_expect_null(qn_nn_append(net, layer));
    expect_error(QN_INVALID_ARGUMENT, "has a parent already");
    cr_expect_null(qn_nn_append(layer, qn_nn_relu(ctx)));
    expect_error(QN_INVALID_ARGUMENT, "expects a sequential, got scale");
    cr_expect_null(qn_module_new(ctx, "nothing", NULL, NULL, NULL));
    expect_error(QN_INVALID_ARGUMENT, "forward");

    qn_context *other = qn_context_new(test_device());
    cr_expect_null(qn_module_add_child(net, "far", qn_nn_relu(other)));
    expect_error(QN_INVALID_ARGUMENT, "another context");
    cr_expect_null(qn_module_add_buffer(net, "far", qn_zeros(other, QN_F32, QN_SCALAR)));
    expect_error(QN_INVALID_ARGUMENT, "another context");
    qn_context_free(other);
    expect_names(net, (const char *[]){"1.factor"}, 1);
}

/* ---- ownership --------------------------------------------------------------------------- */

Test(nn, a_tensor_has_one_owner) {
    qn_tensor *shared = qn_parameter(ctx, QN_F32, QN_SHAPE(3));
    qn_module *first = qn_nn_sequential(ctx, NULL), *second = qn_nn_sequential(ctx, NULL);
    cr_assert_eq(qn_module_add_parameter(first, "weight", shared), shared);
    cr_expect_null(qn_module_add_parameter(second, "weight", shared));
    expect_error(QN_INVALID_ARGUMENT, "tensor [3] belongs to a module already");
    cr_expect_null(qn_module_add_buffer(first, "again", shared));
    expect_error(QN_INVALID_ARGUMENT, "belongs to a module already");
    cr_expect_eq(qn_module_tensor_count(second), 0);
}

Test(nn, a_module_may_be_freed_before_its_context) {
    qn_module *child = new_scale(4);
    size_t before = qn_memory_stats(ctx).in_use;
    qn_module *net = qn_nn_sequential(ctx, child, qn_nn_linear(ctx, 4, 4, NULL), NULL);
    cr_assert_eq(qn_module_flatten(net), QN_OK);
    qn_module_free(child);
    cr_expect_eq(destroyed, 0, "a child goes with its parent");
    qn_module_free(net);
    cr_expect_eq(destroyed, 1);
    qn_step_end(ctx);
    cr_expect_leq(qn_memory_stats(ctx).in_use, before);
    qn_module_free(NULL);
}

Test(nn, a_context_frees_what_is_left) {
    qn_context *mine = ctx;
    ctx = qn_context_new(test_device());
    qn_module *net = qn_nn_sequential(ctx, new_scale(4), NULL);
    qn_nn_append(net, new_scale(4));
    new_scale(2);
    qn_context_free(ctx);
    cr_expect_eq(destroyed, 3);
    ctx = mine;
}

Test(nn, a_layer_that_fails_fails_the_network) {
    qn_module *net =
        qn_nn_sequential(ctx, new_scale(4), qn_nn_linear(ctx, 0, 3, NULL), qn_nn_relu(ctx), NULL);
    cr_expect_null(net);
    cr_expect_eq(destroyed, 1);
    expect_error(QN_INVALID_ARGUMENT, "linear: in and out must be at least 1, got 0 and 3");
    cr_expect_null(qn_nn_conv2d(ctx, 3, 8, 3, &(qn_conv2d_opts){.groups = 2}));
    expect_error(QN_INVALID_ARGUMENT, "conv2d: groups must divide in 3 and out 8, got 2");
    cr_expect_null(qn_nn_conv2d(ctx, 3, 8, 0, NULL));
    expect_error(QN_INVALID_ARGUMENT, "conv2d: in, out and kernel must be at least 1");
    cr_expect_null(qn_nn_max_pool2d(ctx, 0, NULL));
    expect_error(QN_INVALID_ARGUMENT, "max_pool2d: kernel must be at least 1, got 0");
    cr_expect_null(qn_nn_adaptive_avg_pool2d(ctx, 1, 0));
    expect_error(QN_INVALID_ARGUMENT, "got 1 and 0");
    cr_expect_null(qn_nn_batch_norm(ctx, 0, NULL));
    expect_error(QN_INVALID_ARGUMENT, "batch_norm: channels");
    cr_expect_null(qn_nn_layer_norm(ctx, QN_SCALAR, 0));
    expect_error(QN_INVALID_ARGUMENT, "layer_norm: needs an axis");
    cr_expect_null(qn_nn_dropout(ctx, NAN));
    expect_error(QN_INVALID_ARGUMENT, "dropout: p must be in [0, 1), got nan");
    cr_expect_null(qn_nn_function(ctx, "f", NULL));
    expect_error(QN_INVALID_ARGUMENT, "function");
}

Test(nn, null_in_gives_null_out) {
    cr_expect_null(qn_nn_linear(NULL, 2, 2, NULL));
    cr_expect_null(qn_nn_sequential(NULL, NULL));
    cr_expect_null(qn_nn_append(NULL, NULL));
    cr_expect_null(qn_forward(NULL, NULL));
    cr_expect_null(qn_module_find(NULL, "weight"));
    cr_expect_null(qn_module_flat_parameters(NULL));
    cr_expect_null(qn_module_flat_gradients(NULL));
    cr_expect_eq(qn_module_tensor_count(NULL), 0);
    cr_expect_eq(qn_module_flatten(NULL), QN_INVALID_ARGUMENT);
    cr_expect_eq(qn_module_print(NULL, stderr), QN_INVALID_ARGUMENT);
    qn_module_train(NULL, true);
    qn_module_zero_grad(NULL);
}

/* ---- flat buffers ------------------------------------------------------------------------ */

Test(nn, flat_buffers_are_the_parameters) {
    qn_module *net = qn_nn_linear(ctx, 3, 5, NULL);
    cr_expect_null(qn_module_flat_parameters(net));
    cr_expect_null(qn_module_flat_gradients(net));
    qn_tensor *weight = qn_module_find(net, "weight"), *bias = qn_module_find(net, "bias");
    float start[15], values[32];
    read_floats(weight, start, 15);
    cr_assert_eq(qn_module_flatten(net), QN_OK);
    cr_assert_eq(qn_module_flatten(net), QN_OK);
    qn_tensor *flat = qn_module_flat_parameters(net);
    expect_floats(weight, start, 15);
    cr_assert_geq(qn_tensor_count(flat), 16 + 5, "each starts at a multiple of 16");

    cr_assert_leq(qn_tensor_count(flat), 32);
    read_floats(flat, values, qn_tensor_count(flat));
    cr_expect_arr_eq(values, start, sizeof(start));
    cr_expect_eq(values[15], 0, "padding is zero");
    cr_assert_eq(qn_fill(flat, 2), QN_OK);
    float two[15];
    for (int i = 0; i < 15; i++)
        two[i] = 2;
    expect_floats(weight, two, 15);
    expect_floats(bias, two, 5);
}

Test(nn, flat_gradients_are_the_gradients) {
    qn_module *net = qn_nn_linear(ctx, 2, 2, NULL);
    qn_tensor *unused = qn_module_add_parameter(net, "unused", qn_ones(ctx, QN_F32, QN_SHAPE(3)));
    cr_assert_eq(qn_module_flatten(net), QN_OK);
    qn_tensor *x = floats(QN_SHAPE(1, 2), (float[]){3, 4});
    cr_assert_eq(qn_backward(qn_sum(qn_forward(net, x), QN_ALL, false)), QN_OK);
    float values[48];
    qn_tensor *flat = qn_module_flat_gradients(net);
    cr_assert_leq(qn_tensor_count(flat), 48);
    read_floats(flat, values, qn_tensor_count(flat));
    const float expected[4] = {3, 4, 3, 4};
    for (int64_t i = 0; i < qn_tensor_count(flat); i++)
        cr_expect_eq(values[i],
                     i < 4                ? expected[i]
                     : i == 16 || i == 17 ? 1
                                          : 0,
                     "element %lld", (long long)i);
    cr_expect_not_null(qn_grad(unused), "what had none has zeros now");
    expect_floats(qn_grad(qn_module_find(net, "weight")), expected, 4);
    qn_module_zero_grad(net);
    cr_expect_null(qn_grad(qn_module_find(net, "weight")));
}

Test(nn, parameters_lie_in_one_flat_buffer_only) {
    qn_module *net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 2, 2, NULL), NULL);
    qn_module *part = qn_module_child(net, 0);
    cr_assert_eq(qn_module_flatten(part), QN_OK);
    cr_assert_eq(qn_module_flatten(net), QN_OK);
    cr_expect_null(qn_module_flat_parameters(part));
    cr_expect_not_null(qn_module_flat_parameters(net));
    cr_assert_eq(qn_module_flatten(part), QN_OK);
    cr_expect_null(qn_module_flat_parameters(net));
    qn_fill(qn_module_flat_parameters(part), 7);
    expect_floats(qn_module_find(net, "0.bias"), (float[]){7, 7}, 2);
    qn_nn_append(net, qn_nn_linear(ctx, 2, 2, NULL));
    cr_assert_eq(qn_module_flatten(net), QN_OK);
    expect_floats(qn_module_find(net, "0.bias"), (float[]){7, 7}, 2);
    qn_nn_append(net, qn_nn_linear(ctx, 2, 2, NULL));
    cr_expect_null(qn_module_flat_parameters(net), "a child with parameters undoes it");
    cr_assert_eq(qn_module_flatten(net), QN_OK);
    qn_nn_append(net, qn_nn_relu(ctx));
    cr_expect_not_null(qn_module_flat_parameters(net));
    qn_module_add_parameter(part, "more", qn_ones(ctx, QN_F32, QN_SCALAR));
    cr_expect_null(qn_module_flat_parameters(net), "a parameter undoes it");
    cr_expect_eq(qn_module_flatten(qn_nn_relu(ctx)), QN_INVALID_ARGUMENT);
    expect_error(QN_INVALID_ARGUMENT, "relu: has no parameters");
}

/* ---- layers ------------------------------------------------------------------------------ */

Test(nn, linear_computes_and_starts_within_its_bound) {
    qn_module *small = qn_nn_linear(ctx, 2, 2, NULL);
    qn_tensor_write(qn_module_find(small, "weight"), (float[]){1, 2, 3, 4}, 16);
    qn_tensor_write(qn_module_find(small, "bias"), (float[]){10, 20}, 8);
    qn_tensor *x = floats(QN_SHAPE(2, 2), (float[]){1, 1, 2, 0});
    expect_floats(qn_forward(small, x), (float[]){13, 27, 12, 26}, 4);

    float weight[2000], again[2000], greatest = 0;
    qn_context_seed(ctx, 5);
    read_floats(qn_module_find(qn_nn_linear(ctx, 100, 20, NULL), "weight"), weight, 2000);
    qn_context_seed(ctx, 5);
    read_floats(qn_module_find(qn_nn_linear(ctx, 100, 20, NULL), "weight"), again, 2000);
    cr_expect_arr_eq(weight, again, sizeof(weight));
    for (int i = 0; i < 2000; i++)
        greatest = fmaxf(greatest, fabsf(weight[i]));
    cr_expect(greatest <= 0.1f && greatest > 0.099f, "greatest %g", greatest);
}

Test(nn, convolution_and_pooling_have_the_shapes_asked_for) {
    qn_module *net = qn_nn_sequential(
        ctx, qn_nn_conv2d(ctx, 2, 4, 3, &(qn_conv2d_opts){.padding = {1}, .groups = 2}),
        qn_nn_max_pool2d(ctx, 2, NULL), qn_nn_avg_pool2d(ctx, 3, &(qn_pool2d_opts){.stride = {1}}),
        qn_nn_adaptive_avg_pool2d(ctx, 1, 1), qn_nn_flatten(ctx), NULL);
    expect_shape(qn_module_find(net, "0.weight"), QN_SHAPE(4, 1, 3, 3));
    qn_tensor *x = qn_ones(ctx, QN_F32, QN_SHAPE(5, 2, 8, 8));
    const qn_shape expected[] = {QN_SHAPE(5, 4, 8, 8), QN_SHAPE(5, 4, 4, 4), QN_SHAPE(5, 4, 2, 2),
                                 QN_SHAPE(5, 4, 1, 1), QN_SHAPE(5, 4)};
    for (int i = 0; i < 5; i++) {
        x = qn_forward(qn_module_child(net, i), x);
        expect_shape(x, expected[i]);
    }
}

/* The rule of windows: a second 0 repeats the first, a first 0 is the default. */
Test(nn, settings_of_windows_follow_one_rule) {
    qn_tensor *x = qn_ones(ctx, QN_F32, QN_SHAPE(1, 1, 12, 12));
    qn_tensor *w = qn_ones(ctx, QN_F32, QN_SHAPE(1, 1, 3, 3));
    const struct {
        qn_conv2d_opts opts;
        int64_t height, width;
    } convolutions[] = {
        {{.padding = {1}}, 12, 12},
        {{.padding = {1, QN_NO_PADDING}}, 12, 10},
        {{.padding = {QN_NO_PADDING, 1}}, 10, 12},
        {{.padding = {0, 1}}, 10, 12},
        {{.padding = {2, 1}}, 14, 12},
        {{.stride = {2}}, 5, 5},
        {{.stride = {2, 1}}, 5, 10},
        {{.stride = {0, 2}}, 10, 5},
        {{.dilation = {2}}, 8, 8},
        {{.dilation = {2, 1}}, 8, 10},
        {{.dilation = {0, 2}}, 10, 8},
        {{.stride = {2}, .padding = {1}}, 6, 6},
    };
    for (size_t i = 0; i < sizeof(convolutions) / sizeof(convolutions[0]); i++) {
        qn_module *layer = qn_nn_conv2d(ctx, 1, 1, 3, &convolutions[i].opts);
        const qn_shape expected = QN_SHAPE(1, 1, convolutions[i].height, convolutions[i].width);
        expect_shape(qn_conv2d(x, w, NULL, &convolutions[i].opts), expected);
        expect_shape(qn_forward(layer, x), expected);
    }
    const struct {
        qn_pool2d_opts opts;
        int64_t height, width;
    } pools[] = {
        {{.kernel = {3}}, 4, 4},
        {{.kernel = {3, 2}}, 4, 6},
        {{.kernel = {3, 2}, .stride = {2}}, 5, 6},
        {{.kernel = {3, 2}, .stride = {0, 1}}, 4, 11},
        {{.kernel = {2}, .stride = {1}, .padding = {1}}, 13, 13},
        {{.kernel = {2}, .stride = {1}, .padding = {1, QN_NO_PADDING}}, 13, 11},
        {{.kernel = {2}, .stride = {1}, .padding = {0, 1}}, 11, 13},
    };
    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
        const qn_shape expected = QN_SHAPE(1, 1, pools[i].height, pools[i].width);
        expect_shape(qn_max_pool2d(x, &pools[i].opts), expected);
        expect_shape(qn_avg_pool2d(x, &pools[i].opts), expected);
        expect_shape(qn_forward(qn_nn_max_pool2d(ctx, 7, &pools[i].opts), x), expected);
    }
}

Test(nn, batch_norm_learns_the_statistics_in_training_only) {
    qn_module *net = qn_nn_sequential(ctx, qn_nn_batch_norm(ctx, 1, NULL), NULL);
    qn_tensor *mean = qn_module_find(net, "0.running_mean");
    qn_tensor *var = qn_module_find(net, "0.running_var");
    qn_tensor *x = floats(QN_SHAPE(2, 1), (float[]){1, 3});
    cr_expect(qn_module_is_training(net));
    expect_floats(qn_forward(net, x), (float[]){-1, 1}, 2);
    expect_floats(mean, (float[]){0.2f}, 1);
    expect_floats(var, (float[]){0.9f + 0.2f}, 1);
    qn_module_train(net, false);
    cr_expect_not(qn_module_is_training(qn_module_child(net, 0)));
    const float deviation = sqrtf(1.1f + 1e-5f);
    expect_floats(qn_forward(net, x), (float[]){0.8f / deviation, 2.8f / deviation}, 2);
    expect_floats(mean, (float[]){0.2f}, 1);
}

Test(nn, layer_norm_covers_its_shape) {
    qn_module *layer = qn_nn_layer_norm(ctx, QN_SHAPE(2, 2), 0);
    qn_tensor_write(qn_module_find(layer, "bias"), (float[]){0, 0, 0, 5}, 16);
    qn_tensor *x = floats(QN_SHAPE(1, 2, 2), (float[]){1, 1, 3, 3});
    expect_floats(qn_forward(layer, x), (float[]){-1, -1, 1, 6}, 4);
}

Test(nn, dropout_does_nothing_in_evaluation) {
    qn_module *layer = qn_nn_dropout(ctx, 0.5);
    qn_tensor *x = qn_ones(ctx, QN_F32, QN_SHAPE(1000));
    float values[1000];
    int dropped = 0;
    read_floats(qn_forward(layer, x), values, 1000);
    for (int i = 0; i < 1000; i++) {
        cr_expect(values[i] == 0 || values[i] == 2);
        dropped += values[i] == 0;
    }
    cr_expect(dropped > 400 && dropped < 600, "%d dropped", dropped);
    qn_module_train(layer, false);
    cr_expect_eq(qn_forward(layer, x), x);
}

Test(nn, activations_are_their_operations) {
    const struct {
        qn_module *layer;
        float at_minus_one, at_two;
    } cases[] = {{qn_nn_relu(ctx), 0, 2},
                 {qn_nn_leaky_relu(ctx, 0.1), -0.1f, 2},
                 {qn_nn_gelu(ctx, false), -0.158655f, 1.954500f},
                 {qn_nn_gelu(ctx, true), -0.158808f, 1.954598f},
                 {qn_nn_silu(ctx), -0.268941f, 1.761594f},
                 {qn_nn_tanh(ctx), -0.761594f, 0.964028f},
                 {qn_nn_sigmoid(ctx), 0.268941f, 0.880797f},
                 {qn_nn_softmax(ctx, 1), 0.047426f, 0.952574f},
                 {qn_nn_function(ctx, "neg", qn_neg), 1, -2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        qn_tensor *x = floats(QN_SHAPE(1, 2), (float[]){-1, 2});
        expect_floats(qn_forward(cases[i].layer, x),
                      (float[]){cases[i].at_minus_one, cases[i].at_two}, 2);
    }
}

Test(nn, off_the_tape_a_sequential_releases_what_lies_between) {
    qn_module *net = qn_nn_sequential(ctx, qn_nn_relu(ctx), qn_nn_tanh(ctx), qn_nn_sigmoid(ctx),
                                      qn_nn_flatten(ctx), qn_nn_relu(ctx), NULL);
    qn_tensor *x = qn_zeros(ctx, QN_F32, QN_SHAPE(4, 1024, 4));
    size_t before = qn_memory_stats(ctx).in_use, one = 4 * 1024 * 4 * sizeof(float);
    qn_tensor *y = qn_forward(net, x);
    cr_expect_eq(qn_item(qn_max(y, QN_ALL, false)), 0.5);
    cr_expect_lt(qn_memory_stats(ctx).in_use, before + 2 * one);
    qn_forward(net, qn_require_grad(x)); /* the tape needs them all but the view */
    cr_expect_geq(qn_memory_stats(ctx).in_use, before + 5 * one);
}

Test(nn, a_module_of_ones_own_learns) {
    qn_module *net = qn_nn_sequential(ctx, new_scale(2), NULL);
    qn_tensor *x = floats(QN_SHAPE(1, 2), (float[]){2, 3});
    cr_assert_eq(qn_backward(qn_sum(qn_forward(net, x), QN_ALL, false)), QN_OK);
    expect_floats(qn_grad(qn_module_find(net, "0.factor")), (float[]){2, 3}, 2);
}

Test(nn, printing_shows_the_tree) {
    qn_module *net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 2, 3, NULL), qn_nn_relu(ctx), NULL);
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    cr_assert_eq(qn_module_print(net, stream), QN_OK);
    fclose(stream);
    cr_expect_str_eq(text, "sequential\n"
                           "  0 linear  weight [3, 2], bias [3]  (9)\n"
                           "  1 relu\n"
                           "9 parameters\n");
    free(text);
}

/* ---- initialisers ------------------------------------------------------------------------ */

static void expect_spread(qn_status status, const qn_tensor *x, double deviation, double bound) {
    enum { COUNT = 40 * 10 * 3 * 3 };
    static float values[COUNT];
    cr_assert_eq(status, QN_OK);
    read_floats(x, values, COUNT);
    double square = 0, greatest = 0;
    for (int i = 0; i < COUNT; i++) {
        square += (double)values[i] * values[i];
        greatest = fmax(greatest, fabs((double)values[i]));
    }
    cr_expect_float_eq(sqrt(square / COUNT) / deviation, 1, 0.05);
    cr_expect_leq(greatest, bound * 1.000001);
}

Test(nn, initialisers_have_their_spread) {
    qn_tensor *x = qn_parameter(ctx, QN_F32, QN_SHAPE(40, 10, 3, 3));
    const double in = 90, out = 360, gain = 1.5;
    double bound = gain * sqrt(3 / in);
    expect_spread(qn_init_kaiming_uniform(x, gain), x, bound / sqrt(3), bound);
    expect_spread(qn_init_kaiming_normal(x, gain), x, gain / sqrt(in), INFINITY);
    bound = gain * sqrt(6 / (in + out));
    expect_spread(qn_init_xavier_uniform(x, gain), x, bound / sqrt(3), bound);
    expect_spread(qn_init_xavier_normal(x, gain), x, gain * sqrt(2 / (in + out)), INFINITY);
    expect_spread(qn_init_normal(x, 0, 3), x, 3, INFINITY);
    expect_spread(qn_init_uniform(x, -1, 1), x, 1 / sqrt(3), 1);
    expect_spread(qn_init_constant(x, 0.25), x, 0.25, 0.25);
    cr_expect_eq(qn_init_kaiming_uniform(NULL, 1), QN_INVALID_ARGUMENT);
    cr_expect_eq(qn_init_xavier_normal(qn_zeros(ctx, QN_F32, QN_SHAPE(4)), 1), QN_SHAPE_MISMATCH);
    expect_error(QN_SHAPE_MISMATCH, "init_xavier_normal: expects at least 2 axes, got 1");
}

/* ---- memory runs out --------------------------------------------------------------------- */

static int until_failure = -1; /* allocations that still succeed; negative: all do */

static bool fails(void) { return until_failure >= 0 && until_failure-- == 0; }

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes) { return fails() ? NULL : __real_malloc(bytes); }
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes) {
    return fails() ? NULL : __real_calloc(count, bytes);
}
void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes) {
    return fails() ? NULL : __real_realloc(old, bytes);
}
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }

static qn_module *build_network(void) {
    qn_module *inner =
        qn_nn_sequential(ctx, qn_nn_linear(ctx, 4, 4, NULL), qn_nn_batch_norm(ctx, 4, NULL), NULL);
    qn_module *net = qn_nn_sequential(ctx, qn_nn_relu(ctx), inner, qn_nn_linear(ctx, 4, 2, NULL),
                                      qn_nn_dropout(ctx, 0.5), NULL);
    return qn_module_flatten(net) == QN_OK ? net : NULL;
}

Test(nn, every_allocation_may_fail) {
    qn_context *mine = ctx;
    int failed = 0;
    for (bool done = false; !done; failed++) {
        cr_assert_lt(failed, 1000);
        until_failure = -1;
        ctx = qn_context_new(test_device());
        until_failure = failed;
        qn_module *net = build_network();
        done = until_failure >= 0;
        until_failure = -1;
        cr_expect_eq(net != NULL, done, "allocation %d", failed);
        cr_expect_eq(qn_context_error(ctx, NULL), done ? QN_OK : QN_OUT_OF_MEMORY,
                     "allocation %d: %s", failed, qn_context_message(ctx));
        cr_expect_eq(qn_module_tensor_count(net), done ? 8 : 0);
        qn_context_free(ctx);
    }
    cr_expect_gt(failed, 50, "only %d allocations were seen", failed);
    ctx = mine;
}

Test(nn, a_child_is_added_whole_or_not_at_all) {
    qn_module *inner = qn_nn_sequential(ctx, NULL), *outer = qn_nn_sequential(ctx, inner, NULL);
    qn_module *child =
        qn_nn_sequential(ctx, qn_nn_batch_norm(ctx, 4, NULL), qn_nn_linear(ctx, 4, 4, NULL), NULL);
    int failed = 0;
    for (; qn_module_tensor_count(outer) == 0; failed++) {
        until_failure = failed;
        const bool added = qn_nn_append(inner, child) != NULL;
        until_failure = -1;
        cr_assert_lt(failed, 100);
        cr_assert_eq(qn_module_tensor_count(inner), added ? 6 : 0, "allocation %d", failed);
        cr_assert_eq(qn_module_tensor_count(outer), added ? 6 : 0, "allocation %d", failed);
        if (!added)
            expect_error(QN_OUT_OF_MEMORY, "sequential: out of memory");
    }
    cr_expect_gt(failed, 12);
    cr_expect_str_eq(qn_module_tensor(outer, 5).name, "0.0.1.bias");
}

/* Sizes whose multiples are beyond 64 bits. */
Test(nn, sizes_that_no_memory_can_hold) {
    cr_expect_null(qn_nn_multi_head_attention(ctx, INT64_MAX, 1, NULL));
    cr_expect_str_eq(qn_context_message(ctx), "multi_head_attention: width must be a multiple of "
                                              "heads that memory can hold, got "
                                              "9223372036854775807 and 1");
    qn_context_clear_error(ctx);
    cr_expect_null(qn_nn_lstm(ctx, 1, INT64_MAX / 2, NULL));
    cr_expect_not_null(strstr(qn_context_message(ctx), "hidden is more than memory can hold"), "%s",
                       qn_context_message(ctx));
    qn_context_clear_error(ctx);
    cr_expect_null(qn_nn_gru(ctx, 1, INT64_MAX, NULL));
    cr_expect_not_null(strstr(qn_context_message(ctx), "hidden is more than memory can hold"), "%s",
                       qn_context_message(ctx));
    qn_context_clear_error(ctx);
}
