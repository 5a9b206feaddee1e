/* test_random.c: Philox against published vectors, and how tensors take numbers from the stream. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/ref_philox.h"
#include "quern.h"
#include "test_device.h"

enum { DRAWN = 1003 }; /* numbers to compare: not a whole number of blocks */

static qn_context *ctx;

static void open_context(void) { ctx = qn_context_new(test_device()); }

static void close_context(void) {
    cr_expect_eq(qn_context_error(ctx, stderr), QN_OK);
    qn_context_free(ctx);
}

TestSuite(random, .init = open_context, .fini = close_context);

/* The known answers that the authors of Philox publish with Random123 (kat_vectors). */
Test(random, philox_gives_the_published_answers) {
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        qn_random_block block = qn_philox(known[i].counter, known[i].key);
        cr_expect_arr_eq(block.word, known[i].answer, sizeof(known[i].answer), "vector %zu", i);
    }
}

Test(random, elements_are_the_words_of_the_stream) {
    enum { COUNT = 10 };
    const qn_random_state start = {.key = 0x123456789abcdef0, .counter = 0xffffffff};
    qn_context_set_random(ctx, start);
    float uniform[COUNT];
    qn_tensor *x = qn_uniform(ctx, QN_F32, QN_SHAPE(2, 5), -1, 3);
    cr_assert_eq(qn_tensor_read(x, uniform, sizeof(uniform)), QN_OK);
    for (int i = 0; i < COUNT; i++) {
        qn_random_block block = philox(start.key, start.counter + (uint64_t)i / 4);
        double u = (block.word[i % 4] >> 8) / 16777216.0;
        cr_expect_float_eq(uniform[i], -1 + u * 4, 1e-6);
    }
    cr_expect_eq(qn_context_random(ctx).counter, start.counter + 3);
    cr_expect_eq(qn_context_random(ctx).key, start.key);
}

Test(random, normal_numbers_come_in_pairs) {
    const qn_random_state start = {.key = 42, .counter = 7};
    qn_context_set_random(ctx, start);
    double normal[6];
    qn_tensor *x = qn_normal(ctx, QN_F64, QN_SHAPE(6), 10, 2);
    cr_assert_eq(qn_tensor_read(x, normal, sizeof(normal)), QN_OK);
    for (int i = 0; i < 6; i++) {
        qn_random_block block = philox(start.key, start.counter + (uint64_t)i / 4);
        const uint32_t *pair = &block.word[i % 4 / 2 * 2];
        double radius = sqrt(-2 * log(((pair[0] >> 8) + 1) / 16777216.0));
        double angle = 2 * M_PI * ((pair[1] >> 8) / 16777216.0);
        cr_expect_float_eq(normal[i], 10 + 2 * radius * (i % 2 ? sin(angle) : cos(angle)), 1e-12);
    }
    cr_expect_eq(qn_context_random(ctx).counter, start.counter + 2);
}

Test(random, a_stream_goes_on_where_it_was_left) {
    float whole[16], parts[16];
    qn_context_seed(ctx, 5);
    qn_tensor_read(qn_uniform(ctx, QN_F32, QN_SHAPE(16), 0, 1), whole, sizeof(whole));
    qn_context_seed(ctx, 5);
    qn_tensor_read(qn_uniform(ctx, QN_F32, QN_SHAPE(8), 0, 1), parts, sizeof(parts) / 2);
    qn_random_state middle = qn_context_random(ctx);
    qn_context_seed(ctx, 99);
    qn_context_set_random(ctx, middle);
    qn_tensor_read(qn_uniform(ctx, QN_F32, QN_SHAPE(8), 0, 1), parts + 8, sizeof(parts) / 2);
    cr_expect_arr_eq(whole, parts, sizeof(whole));
}

Test(random, layout_and_dtype_do_not_change_the_numbers) {
    double wide[12], straight[12];
    float narrow[12];
    qn_context_seed(ctx, 1);
    qn_tensor_read(qn_uniform(ctx, QN_F64, QN_SHAPE(3, 4), 0, 1), wide, sizeof(wide));
    qn_context_seed(ctx, 1);
    qn_tensor *turned = qn_transpose(qn_zeros(ctx, QN_F64, QN_SHAPE(4, 3)), 0, 1);
    cr_expect_eq(qn_fill_uniform(turned, 0, 1), QN_OK);
    qn_tensor_read(turned, straight, sizeof(straight));
    cr_expect_arr_eq(straight, wide, sizeof(wide));
    qn_context_seed(ctx, 1);
    qn_tensor_read(qn_uniform(ctx, QN_F32, QN_SHAPE(3, 4), 0, 1), narrow, sizeof(narrow));
    for (int i = 0; i < 12; i++)
        cr_expect_eq((double)narrow[i], wide[i]); /* 24 bits: exact in both */
}

/** Draws the same numbers in a context: uniform in both dtypes, between bounds that round, and what
 * dropout keeps. */
static void draw(qn_context *on, float *narrow, double *wide, float *kept) {
    qn_context_seed(on, 31);
    qn_shape shape = QN_SHAPE(DRAWN);
    qn_tensor_read(qn_uniform(on, QN_F32, shape, -0.1, 0.6), narrow, DRAWN * sizeof(*narrow));
    qn_tensor_read(qn_uniform(on, QN_F64, shape, -0.1, 0.6), wide, DRAWN * sizeof(*wide));
    qn_tensor *ones = qn_full(on, QN_F32, shape, 1);
    qn_tensor_read(qn_dropout(ones, 0.3, true), kept, DRAWN * sizeof(*kept));
}

Test(random, every_device_draws_what_the_reference_draws) {
    static float narrow[2][DRAWN], kept[2][DRAWN];
    static double wide[2][DRAWN];
    setenv("QUERN_PROVIDERS", "ref", 1);
    qn_context *cpu = qn_context_new("cpu");
    unsetenv("QUERN_PROVIDERS");
    cr_assert_eq(qn_context_error(cpu, stderr), QN_OK);
    draw(ctx, narrow[0], wide[0], kept[0]);
    draw(cpu, narrow[1], wide[1], kept[1]);
    cr_expect_arr_eq(narrow[0], narrow[1], sizeof(narrow[0]));
    cr_expect_arr_eq(wide[0], wide[1], sizeof(wide[0]));
    for (int i = 0; i < DRAWN; i++)
        cr_expect_eq(kept[0][i] != 0, kept[1][i] != 0, "element %d", i);
    cr_expect_eq(qn_context_random(ctx).counter, qn_context_random(cpu).counter);
    qn_context_free(cpu);
}

Test(random, moments_are_as_asked) {
    qn_tensor *uniform = qn_uniform(ctx, QN_F64, QN_SHAPE(20000), 2, 4);
    cr_expect_float_eq(qn_item(qn_mean(uniform, QN_ALL, false)), 3, 0.02);
    cr_expect_float_eq(qn_item(qn_var(uniform, QN_ALL, 1, false)), 1.0 / 3, 0.02);
    cr_expect_geq(qn_item(qn_min(uniform, QN_ALL, false)), 2);
    cr_expect_lt(qn_item(qn_max(uniform, QN_ALL, false)), 4);
    qn_tensor *normal = qn_normal(ctx, QN_F64, QN_SHAPE(20000), -1, 3);
    cr_expect_float_eq(qn_item(qn_mean(normal, QN_ALL, false)), -1, 0.1);
    cr_expect_float_eq(qn_item(qn_var(normal, QN_ALL, 1, false)), 9, 0.4);
}

Test(random, integers_are_refused) {
    cr_expect_null(qn_normal(ctx, QN_I64, QN_SHAPE(3), 0, 1));
    cr_expect_eq(qn_context_error(ctx, NULL), QN_DTYPE_MISMATCH);
    cr_expect_str_eq(qn_context_message(ctx), "normal: expects f32, f64, bf16 or f16, got i64");
    qn_context_clear_error(ctx);
}
