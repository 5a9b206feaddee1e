/* test_attention.c: attention beyond its rows of the operation table, and the layers made of it. */
#include <math.h>
#include <stdlib.h>

#include "with_context.h"

TestSuite(attention, .init = open_context, .fini = close_context);

static qn_tensor *normal(qn_shape shape) { return qn_normal(ctx, QN_F32, shape, 0, 1); }

/** u8 of a shape, 1 where visible(position along the last axis but one, along the last). */
static qn_tensor *mask_of(qn_shape shape, bool (*visible)(int64_t i, int64_t j)) {
    int64_t count = 1, columns = shape.dim[shape.rank - 1], rows = shape.dim[shape.rank - 2];
    for (int axis = 0; axis < shape.rank; axis++)
        count *= shape.dim[axis];
    uint8_t *values = malloc((size_t)count);
    cr_assert_not_null(values);
    for (int64_t e = 0; e < count; e++)
        values[e] = visible(e / columns % rows, e % columns);
    qn_tensor *mask = qn_from_data(ctx, QN_U8, shape, values);
    free(values);
    return mask;
}

static void expect_close(qn_tensor *a, qn_tensor *b, double tolerance) {
    cr_assert(a && b, "%s", qn_context_message(ctx));
    const double difference = qn_item(qn_max(qn_abs(qn_sub(a, b)), QN_ALL, false));
    cr_expect(difference <= tolerance, "differ by %g", difference);
}

/** softmax(q k^T / sqrt(d)) v in products of their own, [n, t, heads, d] as attention has it. */
static qn_tensor *plain(qn_tensor *q, qn_tensor *k, qn_tensor *v) {
    const double scale = 1 / sqrt((double)qn_tensor_dim(q, 3));
    qn_tensor *rows = qn_permute(q, QN_AXES(0, 2, 1, 3)), *values = qn_transpose(v, 1, 2);
    qn_tensor *scores = qn_affine(qn_matmul(rows, qn_permute(k, QN_AXES(0, 2, 3, 1))), scale, 0);
    return qn_transpose(qn_matmul(qn_softmax(scores, -1), values), 1, 2);
}

/* ---- the operation ----------------------------------------------------------------------- */

Test(attention, many_blocks_give_what_whole_rows_give) {
    qn_tensor *q = qn_require_grad(normal(QN_SHAPE(2, 150, 3, 24)));
    qn_tensor *k = qn_require_grad(normal(QN_SHAPE(2, 333, 3, 24)));
    qn_tensor *v = qn_require_grad(normal(QN_SHAPE(2, 333, 3, 24)));
    qn_tensor *weights = normal(QN_SHAPE(2, 150, 3, 24)), *in[3] = {q, k, v};
    qn_tensor *blocks = qn_attention(q, k, v, NULL), *whole = plain(q, k, v), *got[3], *expected[3];
    expect_close(blocks, whole, 1e-5);
    qn_gradients(qn_sum(qn_mul(blocks, weights), QN_ALL, false), in, 3, got, false);
    qn_gradients(qn_sum(qn_mul(whole, weights), QN_ALL, false), in, 3, expected, false);
    for (int i = 0; i < 3; i++)
        expect_close(got[i], expected[i], 1e-5);
}

Test(attention, positions_may_repeat) {
    const qn_shape one = QN_SHAPE(3, 1, 5, 12), all = QN_SHAPE(3, 7, 5, 12);
    for (int which = 0; which < 3; which++) {
        qn_tensor *in[3], *same[3], *got[3], *expected[3];
        for (int i = 0; i < 3; i++) {
            in[i] = qn_require_grad(normal(i == which ? one : all));
            same[i] = i == which ? qn_expand(in[i], all) : in[i];
        }
        qn_tensor *repeated = qn_attention(same[0], same[1], same[2], NULL);
        qn_tensor *whole = plain(same[0], same[1], same[2]);
        expect_close(repeated, whole, 1e-5);
        qn_gradients(qn_sum(qn_mul(repeated, repeated), QN_ALL, false), in, 3, got, false);
        qn_gradients(qn_sum(qn_mul(whole, whole), QN_ALL, false), in, 3, expected, false);
        for (int i = 0; i < 3; i++)
            expect_close(got[i], expected[i], 1e-4);
    }
}

static bool first_nine(int64_t i, int64_t j) {
    (void)i;
    return j < 9;
}

Test(attention, what_is_masked_does_not_count) {
    qn_tensor *qkv = normal(QN_SHAPE(3, 13, 3, 2, 5));
    qn_tensor *mask = mask_of(QN_SHAPE(1, 13), first_nine);
    qn_tensor *padded = qn_attention_packed(qkv, &(qn_attention_opts){.mask = mask});
    qn_tensor *bare = qn_attention_packed(qn_slice(qkv, 1, 0, 9), NULL);
    expect_close(qn_slice(padded, 1, 0, 9), bare, 1e-6);
}

static bool not_later(int64_t i, int64_t j) { return j <= i; }

Test(attention, causal_is_a_triangle_of_a_mask) {
    qn_tensor *qkv = qn_require_grad(normal(QN_SHAPE(2, 140, 3, 2, 4)));
    qn_tensor *mask = mask_of(QN_SHAPE(140, 140), not_later);
    qn_tensor *causal = qn_attention_packed(qkv, &(qn_attention_opts){.causal = true});
    qn_tensor *masked = qn_attention_packed(qkv, &(qn_attention_opts){.mask = mask});
    expect_close(causal, masked, 0);
    qn_tensor *one, *other;
    qn_gradients(qn_sum(qn_exp(causal), QN_ALL, false), &qkv, 1, &one, false);
    qn_gradients(qn_sum(qn_exp(masked), QN_ALL, false), &qkv, 1, &other, false);
    expect_close(one, other, 1e-6);
}

static bool not_the_third(int64_t i, int64_t j) {
    (void)j;
    return i != 2;
}

Test(attention, a_query_that_may_look_nowhere_gives_zeros) {
    for (int d = 3; d <= 24; d += 21) {
        qn_tensor *qkv = qn_require_grad(normal(QN_SHAPE(2, 5, 3, 2, d)));
        qn_tensor *mask = mask_of(QN_SHAPE(5, 5), not_the_third);
        qn_tensor *y = qn_attention_packed(qkv, &(qn_attention_opts){.mask = mask});
        cr_assert_eq(qn_backward(qn_sum(qn_exp(y), QN_ALL, false)), QN_OK);
        qn_tensor *third = qn_slice(y, 1, 2, 3);
        qn_tensor *queries = qn_slice(qn_slice(qn_grad(qkv), 1, 2, 3), 2, 0, 1);
        cr_expect_eq(qn_item(qn_sum(qn_abs(third), QN_ALL, false)), 0);
        cr_expect_eq(qn_item(qn_sum(qn_abs(queries), QN_ALL, false)), 0);
        cr_expect_gt(qn_item(qn_sum(qn_abs(qn_grad(qkv)), QN_ALL, false)), 0);
    }
}

/* y is linear in v: the product of v with its gradient is that of y with y's, if both passes drop
 * the same weights. */
Test(attention, the_gradient_drops_what_was_dropped) {
    const int64_t lengths[] = {7, 64, 130};
    for (int i = 0; i < 3; i++) {
        const qn_shape shape = QN_SHAPE(2, lengths[i], 3, 8);
        qn_tensor *q = normal(shape), *k = normal(shape), *v = qn_require_grad(normal(shape));
        qn_tensor *weights = normal(shape);
        qn_tensor *y = qn_attention(q, k, v, &(qn_attention_opts){.dropout = 0.4});
        qn_tensor *sum = qn_sum(qn_mul(y, weights), QN_ALL, false);
        cr_assert_eq(qn_backward(sum), QN_OK);
        const double again = qn_item(qn_sum(qn_mul(v, qn_grad(v)), QN_ALL, false));
        cr_expect_float_eq(again, qn_item(sum), 1e-3);
        qn_tensor *all = qn_sum(qn_mul(qn_attention(q, k, v, NULL), weights), QN_ALL, false);
        cr_expect_gt(fabs(qn_item(all) - again), 1e-2);
    }
}

/* v is ones: an element of y is the sum of the weights that were kept, their mean is 1. */
Test(attention, dropout_keeps_the_mean) {
    const qn_shape shape = QN_SHAPE(4, 100, 2, 4);
    qn_tensor *y = qn_attention(normal(shape), normal(shape), qn_ones(ctx, QN_F32, shape),
                                &(qn_attention_opts){.dropout = 0.25});
    cr_expect_float_eq(qn_item(qn_mean(y, QN_ALL, false)), 1, 0.02);
}

Test(attention, packed_parts_are_the_three_tensors) {
    qn_tensor *qkv = qn_require_grad(normal(QN_SHAPE(3, 11, 3, 2, 20)));
    qn_tensor *part[3], *one, *other;
    for (int i = 0; i < 3; i++)
        part[i] = qn_squeeze(qn_slice(qkv, 2, i, i + 1), 2);
    qn_tensor *packed = qn_attention_packed(qkv, NULL);
    qn_tensor *parts = qn_attention(part[0], part[1], part[2], NULL);
    expect_close(packed, parts, 0);
    qn_gradients(qn_sum(qn_exp(packed), QN_ALL, false), &qkv, 1, &one, false);
    qn_gradients(qn_sum(qn_exp(parts), QN_ALL, false), &qkv, 1, &other, false);
    expect_close(one, other, 0);
}

Test(attention, what_does_not_fit_is_refused_in_words) {
    qn_tensor *q = qn_zeros(ctx, QN_F32, QN_SHAPE(2, 5, 3, 4));
    cr_expect_null(qn_attention(q, qn_zeros(ctx, QN_F32, QN_SHAPE(2, 7, 2, 4)), q, NULL));
    expect_error(QN_SHAPE_MISMATCH, "attention: input 1 must be [2, 7, 3, 4], is [2, 7, 2, 4]");
    cr_expect_null(qn_attention(q, q, q, &(qn_attention_opts){.dropout = 2}));
    expect_error(QN_INVALID_ARGUMENT, "attention: needs dropout within 0 and 1 and scale >= 0");
    cr_expect_null(qn_attention(q, q, q, &(qn_attention_opts){.mask = q}));
    expect_error(QN_SHAPE_MISMATCH, "expand");
    cr_expect_null(qn_attention_packed(q, NULL));
    expect_error(QN_SHAPE_MISMATCH, "packed are [n, t, 3, heads, d], got [2, 5, 3, 4]");
}

/* ---- layers ------------------------------------------------------------------------------ */

Test(attention, attending_to_a_copy_of_oneself_is_attending_to_oneself) {
    qn_module *layer = qn_nn_multi_head_attention(ctx, 12, 3, NULL);
    qn_tensor *x = normal(QN_SHAPE(2, 7, 12)), *copy = qn_affine(x, 1, 0);
    qn_tensor *mask = mask_of(QN_SHAPE(2, 7), first_nine);
    qn_tensor *weight = qn_module_find(layer, "in_proj_weight"), *one, *other;
    qn_tensor *self = qn_nn_attention_forward(layer, x, x, x, mask);
    qn_tensor *cross = qn_nn_attention_forward(layer, x, copy, copy, NULL);
    expect_close(self, cross, 1e-6);
    expect_close(self, qn_forward(layer, x), 1e-6);
    qn_gradients(qn_sum(qn_exp(self), QN_ALL, false), &weight, 1, &one, false);
    qn_gradients(qn_sum(qn_exp(cross), QN_ALL, false), &weight, 1, &other, false);
    expect_close(one, other, 1e-5);
}

Test(attention, layers_have_the_names_of_the_field) {
    static const char *const names[] = {"self_attn.in_proj_weight",
                                        "self_attn.in_proj_bias",
                                        "self_attn.out_proj.weight",
                                        "self_attn.out_proj.bias",
                                        "linear1.weight",
                                        "linear1.bias",
                                        "linear2.weight",
                                        "linear2.bias",
                                        "norm1.weight",
                                        "norm1.bias",
                                        "norm2.weight",
                                        "norm2.bias"};
    enum { NAMES = sizeof(names) / sizeof(*names) };
    qn_module *layer = qn_nn_transformer_encoder_layer(ctx, 8, 2, NULL);
    cr_assert_eq(qn_module_tensor_count(layer), NAMES);
    for (int i = 0; i < NAMES; i++)
        cr_expect_str_eq(qn_module_tensor(layer, i).name, names[i]);
    cr_expect_eq(qn_tensor_dim(qn_module_find(layer, "linear1.weight"), 0), 32);
}

Test(attention, an_encoder_layer_drops_only_in_training) {
    const qn_nn_transformer_opts kinds[] = {{.dropout = 0.3},
                                            {.dropout = 0.3, .norm_first = true, .gelu = true},
                                            {.dropout = 0.3, .batch_norm = true, .gelu = true}};
    qn_tensor *x = normal(QN_SHAPE(4, 9, 8));
    for (int i = 0; i < 3; i++) {
        qn_module *layer = qn_nn_transformer_encoder_layer(ctx, 8, 2, &kinds[i]);
        qn_tensor *a = qn_forward(layer, x), *b = qn_forward(layer, x);
        cr_expect_gt(qn_item(qn_max(qn_abs(qn_sub(a, b)), QN_ALL, false)), 0.01);
        cr_assert_eq(qn_backward(qn_mean(qn_exp(a), QN_ALL, false)), QN_OK);
        qn_module_train(layer, false);
        expect_close(qn_forward(layer, x), qn_forward(layer, x), 0);
    }
}

Test(attention, a_causal_layer_does_not_see_what_comes) {
    const qn_nn_transformer_opts opts = {.causal = true};
    qn_module *layer = qn_nn_transformer_encoder_layer(ctx, 8, 2, &opts);
    qn_tensor *x = normal(QN_SHAPE(3, 9, 8));
    expect_close(qn_slice(qn_forward(layer, x), 1, 0, 5), qn_forward(layer, qn_slice(x, 1, 0, 5)),
                 1e-6);
}

Test(attention, positions_are_sines_and_cosines) {
    float values[3][5];
    cr_assert_eq(qn_tensor_read(qn_sinusoids(ctx, 3, 5), values, sizeof(values)), QN_OK);
    const double slow = 2 / pow(10000, 2.0 / 5);
    cr_expect_float_eq(values[0][0], 0, 1e-6);
    cr_expect_float_eq(values[0][1], 1, 1e-6);
    cr_expect_float_eq(values[2][0], sin(2), 1e-6);
    cr_expect_float_eq(values[2][1], cos(2), 1e-6);
    cr_expect_float_eq(values[2][2], sin(slow), 1e-6);
    cr_expect_float_eq(values[2][3], cos(slow), 1e-6);
    cr_expect_eq(qn_tensor_count(qn_sinusoids(ctx, 0, 5)), 0);
}

Test(attention, positions_are_added) {
    qn_tensor *x = normal(QN_SHAPE(2, 3, 4));
    qn_module *fixed = qn_nn_positional_encoding(ctx, 6, 4, false);
    expect_close(qn_sub(qn_forward(fixed, x), x), qn_sinusoids(ctx, 3, 4), 1e-6);
    cr_expect_eq(qn_module_parameter_count(fixed), 0);
    qn_module *trained = qn_nn_positional_encoding(ctx, 6, 4, true);
    cr_expect_eq(qn_module_parameter_count(trained), 24);
    cr_assert_eq(qn_backward(qn_sum(qn_forward(trained, x), QN_ALL, false)), QN_OK);
    qn_tensor *grad = qn_grad(qn_module_find(trained, "encoding"));
    cr_expect_eq(qn_item(qn_sum(grad, QN_ALL, false)), 24);
    cr_expect_null(qn_forward(fixed, normal(QN_SHAPE(2, 7, 4))));
    expect_error(QN_SHAPE_MISMATCH, "positional_encoding: 7 positions, at most 6");
}

Test(attention, layers_that_cannot_be_are_refused_in_words) {
    cr_expect_null(qn_nn_multi_head_attention(ctx, 10, 3, NULL));
    expect_error(QN_INVALID_ARGUMENT, "width must be a multiple of heads, got 10 and 3");
    cr_expect_null(qn_nn_multi_head_attention(ctx, 8, 2, &(qn_nn_attention_opts){.dropout = 1}));
    expect_error(QN_INVALID_ARGUMENT, "dropout must be in [0, 1), got 1");
    cr_expect_null(qn_nn_transformer_encoder_layer(ctx, 10, 3, NULL));
    expect_error(QN_INVALID_ARGUMENT, "width must be a multiple of heads, got 10 and 3");
    cr_expect_null(qn_nn_positional_encoding(ctx, 0, 3, true));
    expect_error(QN_INVALID_ARGUMENT, "length and width must be at least 1, got 0 and 3");
    qn_module *layer = qn_nn_multi_head_attention(ctx, 8, 2, NULL), *relu = qn_nn_relu(ctx);
    qn_tensor *x = normal(QN_SHAPE(2, 3, 6));
    cr_expect_null(qn_forward(layer, x));
    expect_error(QN_SHAPE_MISMATCH, "expects [n, t, 8], got 3 axes and 6 features");
    cr_expect_null(qn_nn_attention_forward(relu, x, x, x, NULL));
    expect_error(QN_INVALID_ARGUMENT, "multi_head_attention: the module is a relu");
    cr_expect_null(qn_nn_transformer_forward(relu, x, NULL));
    expect_error(QN_INVALID_ARGUMENT, "transformer_encoder_layer: the module is a relu");
}
