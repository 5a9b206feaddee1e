/* test_sixteen_bits.c: bf16 and f16 as elements: conversions, views, files, and what is refused.
 * The operations' rows are in test_ops.c. */
#include <math.h>
#include <stdlib.h>

#include "quern_backend.h"
#include "scratch.h"

TestSuite(sixteen_bits, .init = scratch_open, .fini = scratch_close);

enum { PATTERNS = 1 << 16, EXPONENT_F16 = 0x7c00, EXPONENT_BF16 = 0x7f80 };

/* What a pattern stands for, by the format's definition: sign, exponent, fraction. */
static double defined_value(uint32_t bits, int fraction_bits, int bias) {
    const int exponent_bits = 15 - fraction_bits, most = (1 << exponent_bits) - 1;
    const int exponent = (int)(bits >> fraction_bits) & most;
    const int fraction = (int)(bits & ((1u << fraction_bits) - 1));
    const double sign = bits & 0x8000u ? -1 : 1;
    if (exponent == most)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

static bool same(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

Test(sixteen_bits, each_pattern_is_the_number_of_its_definition) {
    for (uint32_t bits = 0; bits < PATTERNS; bits++) {
        const qn_f16 half = {(uint16_t)bits};
        const qn_bf16 brain = {(uint16_t)bits};
        const double f16 = qn_element_get(QN_F16, &half, 0);
        const double bf16 = qn_element_get(QN_BF16, &brain, 0);
        cr_assert(same(f16, defined_value(bits, 10, 15)), "f16 %04x: %a", bits, f16);
        cr_assert(same(bf16, defined_value(bits, 7, 127)), "bf16 %04x: %a", bits, bf16);
        if (!isnan(f16))
            cr_assert_eq(qn_f16_from((float)f16).bits, bits);
        if (!isnan(bf16))
            cr_assert_eq(qn_bf16_from((float)bf16).bits, bits);
    }
}

/* Between two neighbours the nearer is taken, halfway the even one; above the largest as if there
 * were one more. */
static void check_between(qn_dtype dtype, uint16_t infinite) {
    for (uint16_t bits = 0; bits < infinite; bits++) {
        const uint16_t next = (uint16_t)(bits + 1);
        double low = qn_element_get(dtype, &bits, 0), high = qn_element_get(dtype, &next, 0);
        if (next == infinite)
            high = low + (low - qn_element_get(dtype, &(uint16_t){(uint16_t)(bits - 1)}, 0));
        const float middle = (float)((low + high) / 2);
        const struct {
            float x;
            uint16_t expected;
        } cases[] = {{nextafterf(middle, 0), bits},
                     {middle, bits & 1 ? next : bits},
                     {nextafterf(middle, INFINITY), next}};
        for (int i = 0; i < 3; i++) {
            uint16_t got = 0, negative = 0;
            qn_element_set(dtype, &got, 0, (double)cases[i].x);
            qn_element_set(dtype, &negative, 0, -(double)cases[i].x);
            cr_assert_eq(got, cases[i].expected, "%s of %a: %04x, not %04x", qn_dtype_string(dtype),
                         (double)cases[i].x, got, cases[i].expected);
            cr_assert_eq(negative, cases[i].expected | 0x8000);
        }
    }
}

Test(sixteen_bits, numbers_between_are_rounded_to_the_nearest) {
    check_between(QN_F16, EXPONENT_F16);
    check_between(QN_BF16, EXPONENT_BF16);
}

Test(sixteen_bits, what_is_no_number_stays_so) {
    uint16_t bits = 0;
    for (uint32_t payload = 1; payload < 1u << 23; payload = payload * 3 + 1) {
        const uint32_t wide = 0x7f800000u | payload;
        float x;
        memcpy(&x, &wide, sizeof(x));
        qn_element_set(QN_F16, &bits, 0, (double)x);
        cr_assert(isnan(qn_element_get(QN_F16, &bits, 0)), "f16 of %08x", wide);
        qn_element_set(QN_BF16, &bits, 0, (double)x);
        cr_assert(isnan(qn_element_get(QN_BF16, &bits, 0)), "bf16 of %08x", wide);
    }
}

static const qn_dtype dtypes[] = {QN_BF16, QN_F16};

/* The device's conversions are those of the host. */
Test(sixteen_bits, tensors_are_converted_alike) {
    float *wide = malloc(PATTERNS * sizeof(float));
    uint16_t *bits = malloc(2 * PATTERNS);
    cr_assert(wide && bits);
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < PATTERNS; i++) {
            const uint32_t pattern = i * 65537u + 12345u * i; /* of all exponents */
            memcpy(&wide[i], &pattern, sizeof(pattern));
        }
        qn_tensor *x = qn_from_data(ctx, QN_F32, QN_SHAPE(PATTERNS), wide);
        qn_tensor *y = qn_cast(x, dtypes[k]);
        cr_assert_eq(qn_tensor_read(y, bits, 2 * PATTERNS), QN_OK, "%s", qn_context_message(ctx));
        for (int i = 0; i < PATTERNS; i++) {
            uint16_t expected = 0;
            qn_element_set(dtypes[k], &expected, 0, (double)wide[i]);
            cr_assert(bits[i] == expected || isnan(wide[i]), "%s of %a: %04x, not %04x",
                      qn_dtype_string(dtypes[k]), (double)wide[i], bits[i], expected);
        }
        for (int i = 0; i < PATTERNS; i++)
            bits[i] = (uint16_t)i;
        qn_tensor *back = qn_cast(qn_from_data(ctx, dtypes[k], QN_SHAPE(PATTERNS), bits), QN_F32);
        qn_tensor_read(back, wide, PATTERNS * sizeof(float));
        for (int i = 0; i < PATTERNS; i++)
            cr_assert(same((double)wide[i], qn_element_get(dtypes[k], bits, i)), "%04x", i);
    }
    free(wide);
    free(bits);
}

Test(sixteen_bits, views_copies_and_joined_tensors) {
    for (int k = 0; k < 2; k++) {
        const float numbers[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
        qn_tensor *x = qn_cast(qn_from_data(ctx, QN_F32, QN_SHAPE(3, 4), numbers), dtypes[k]);
        qn_tensor *middle = qn_transpose(qn_slice(qn_slice(x, 1, 1, 3), 0, 0, 2), 0, 1);
        qn_tensor *left = qn_slice(qn_contiguous(qn_transpose(x, 0, 1)), 1, 0, 2);
        qn_tensor *joined = qn_concat((qn_tensor *[]){middle, left}, 2, 0);
        qn_tensor *padded = qn_pad(joined, (int64_t[]){1, 0}, (int64_t[]){0, 0}, -3);
        uint16_t bits[14];
        cr_assert_eq(qn_tensor_read(padded, bits, sizeof(bits)), QN_OK, "%s",
                     qn_context_message(ctx));
        const double expected[] = {-3, -3, 1, 5, 2, 6, 0, 4, 1, 5, 2, 6, 3, 7};
        for (int i = 0; i < 14; i++)
            cr_expect_eq(qn_element_get(dtypes[k], bits, i), expected[i], "%d", i);
    }
}

Test(sixteen_bits, files_keep_each_bit) {
    uint16_t *bits = malloc(2 * PATTERNS), *back = malloc(2 * PATTERNS);
    float *wide = malloc(PATTERNS * sizeof(float));
    cr_assert(bits && back && wide);
    for (int i = 0; i < PATTERNS; i++)
        bits[i] = (uint16_t)i;
    for (int k = 0; k < 2; k++) {
        const qn_named_tensor named = {
            .name = "x", .tensor = qn_from_data(ctx, dtypes[k], QN_SHAPE(256, 256), bits)};
        const char *path = scratch_path("bits");
        cr_assert_eq(qn_tensors_write(ctx, path, &named, 1, NULL, 0), QN_OK);
        qn_tensor_file *file = qn_tensor_file_open(ctx, path);
        cr_assert_eq(qn_tensor_file_entry(file, 0).dtype, dtypes[k]);
        qn_tensor *same_dtype = qn_zeros(ctx, dtypes[k], QN_SHAPE(256, 256));
        qn_tensor *as_f32 = qn_zeros(ctx, QN_F32, QN_SHAPE(256, 256));
        cr_assert_eq(qn_tensor_file_read(file, "x", same_dtype), QN_OK);
        cr_assert_eq(qn_tensor_file_read(file, "x", as_f32), QN_OK);
        qn_tensor_read(same_dtype, back, 2 * PATTERNS);
        qn_tensor_read(as_f32, wide, PATTERNS * sizeof(float));
        cr_expect_eq(memcmp(bits, back, 2 * PATTERNS), 0);
        for (int i = 0; i < PATTERNS; i++)
            cr_assert(same((double)wide[i], qn_element_get(dtypes[k], bits, i)), "%04x", i);
        qn_tensor *other = qn_zeros(ctx, dtypes[1 - k], QN_SHAPE(256, 256));
        cr_expect_eq(qn_tensor_file_read(file, "x", other), QN_DTYPE_MISMATCH);
        qn_context_clear_error(ctx);
        qn_tensor_file_free(file);
    }
    free(bits);
    free(back);
    free(wide);
}

Test(sixteen_bits, gradients_have_the_dtype_of_their_tensor) {
    qn_tensor *x = qn_parameter(ctx, QN_BF16, QN_SHAPE(4));
    qn_init_constant(x, 3);
    qn_tensor *loss = qn_sum(qn_cast(qn_mul(x, x), QN_F32), QN_ALL, false);
    cr_assert_eq(qn_backward(loss), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_tensor_dtype(qn_grad(x)), QN_BF16);
    cr_expect_eq(qn_item(qn_sum(qn_grad(x), QN_ALL, false)), 24);
}

static qn_tensor *same_tensor(qn_module *self, qn_tensor *x) {
    (void)self;
    return x;
}

Test(sixteen_bits, steps_in_sixteen_bits_are_refused) {
    qn_module *module = qn_module_new(ctx, "own", same_tensor, NULL, NULL);
    qn_init_constant(
        qn_module_add_parameter(module, "weight", qn_parameter(ctx, QN_F16, QN_SHAPE(3))), 1);
    cr_expect_null(qn_optimizer_new(module, qn_adam(1e-3)));
    cr_expect_eq(qn_context_error(ctx, NULL), QN_DTYPE_MISMATCH);
    cr_expect(strstr(qn_context_message(ctx), "adam: the parameters are f16, expected f32 or f64"),
              "%s", qn_context_message(ctx));
    qn_context_clear_error(ctx);
}
