/* test_stored_types.c: files of others: types that we have not, but whose values one of ours has,
 * and what PyTorch's modules save besides. */
#include <math.h>

#include "scratch.h"

TestSuite(stored_types, .init = scratch_open, .fini = scratch_close);

/* A file of one tensor [count], or of what `header` says. */
static const char *write_file(const char *header, const void *data, size_t bytes) {
    char text[1024];
    const uint64_t length = strlen(header);
    memcpy(text, &length, 8);
    memcpy(text + 8, header, length);
    memcpy(text + 8 + length, data, bytes);
    return scratch_write("file", text, 8 + length + bytes);
}

static qn_tensor_file *open_one(const char *dtype, int count, const void *data, size_t bytes) {
    char header[256];
    snprintf(header, sizeof(header),
             "{\"x\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[0,%zu]}}", dtype, count,
             bytes);
    qn_tensor_file *file = qn_tensor_file_open(ctx, write_file(header, data, bytes));
    cr_assert_not_null(file, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_tensor_file_verify(file), QN_OK);
    return file;
}

static void read_one(const char *dtype, int count, const void *data, size_t bytes, qn_dtype as,
                     void *out) {
    qn_tensor_file *file = open_one(dtype, count, data, bytes);
    qn_tensor *x = qn_zeros(ctx, as, QN_SHAPE(count));
    const qn_dtype stored = qn_tensor_file_entry(file, 0).dtype;
    cr_expect(stored == as || (as == QN_F32 && (stored == QN_F16 || stored == QN_BF16)), "%s",
              dtype);
    cr_expect_eq(qn_tensor_file_read(file, "x", x), QN_OK, "%s", qn_context_message(ctx));
    qn_tensor_read(x, out, (size_t)count * qn_dtype_bytes(as));
    qn_tensor_file_free(file);
}

Test(stored_types, halves) {
    const uint16_t f16[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x83ff, 0x0400,
                            0x7c00, 0xfc00, 0x7e00, 0x8000, 0x3555};
    const float expected[] = {1,        -2,        65504, 0x1p-24F, -0x3ffp-24F, 0x1p-14F,
                              INFINITY, -INFINITY, NAN,   -0.0F,    0x1.554p-2F};
    enum { COUNT = sizeof(f16) / sizeof(*f16) };
    float got[COUNT];
    read_one("F16", COUNT, f16, sizeof(f16), QN_F32, got);
    for (int i = 0; i < COUNT; i++)
        cr_expect((isnan(expected[i]) && isnan(got[i])) ||
                      (got[i] == expected[i] && signbit(got[i]) == signbit(expected[i])),
                  "%d: %a", i, (double)got[i]);
    const uint16_t bf16[] = {0x3f80, 0xc000, 0x7f7f, 0x7f80, 0x4049};
    read_one("BF16", 5, bf16, sizeof(bf16), QN_F32, got);
    cr_expect(got[0] == 1 && got[1] == -2 && got[2] == 0x1.fep127F && isinf(got[3]) &&
              got[4] == 3.140625F);
}

Test(stored_types, whole_numbers) {
    int32_t got[4];
    int64_t wide[2];
    uint8_t flags[3];
    read_one("I8", 4, (const int8_t[]){-128, 127, 0, -1}, 4, QN_I32, got);
    cr_expect(got[0] == -128 && got[1] == 127 && got[2] == 0 && got[3] == -1);
    read_one("I16", 2, (const int16_t[]){-32768, 32767}, 4, QN_I32, got);
    cr_expect(got[0] == -32768 && got[1] == 32767);
    read_one("U16", 2, (const uint16_t[]){65535, 1}, 4, QN_I32, got);
    cr_expect(got[0] == 65535 && got[1] == 1);
    read_one("U32", 2, (const uint32_t[]){4294967295u, 1}, 8, QN_I64, wide);
    cr_expect(wide[0] == 4294967295 && wide[1] == 1);
    read_one("BOOL", 3, (const uint8_t[]){1, 0, 1}, 3, QN_U8, flags);
    cr_expect(flags[0] == 1 && flags[1] == 0 && flags[2] == 1);
}

Test(stored_types, a_module_of_halves) {
    const uint16_t data[] = {0x3800, 0x3400, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600};
    const float expected[] = {1, 2, 3, 4, 5, 6};
    float got[6];
    write_file("{\"bias\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
               "\"weight\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]}}",
               data, sizeof(data));
    qn_module *linear = qn_nn_linear(ctx, 3, 2, NULL);
    cr_expect_eq(qn_load(linear, scratch_path("file")), QN_OK, "%s", qn_context_message(ctx));
    qn_tensor_read(qn_module_find(linear, "weight"), got, sizeof(got));
    cr_expect_eq(memcmp(got, expected, sizeof(got)), 0);
}

Test(stored_types, what_batch_normalisation_counts) {
    const char header[] =
        "{\"num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]},"
        "\"bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]},"
        "\"running_mean\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[16,20]},"
        "\"running_var\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[20,24]}}";
    const uint32_t data[] = {7, 0, 0x3f800000, 0, 0x40000000, 0x3f800000};
    write_file(header, data, sizeof(data));
    qn_module *norm = qn_nn_batch_norm(ctx, 1, NULL);
    cr_expect_eq(qn_load(norm, scratch_path("file")), QN_OK, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_item(qn_module_find(norm, "running_mean")), 2);
    qn_module *linear = qn_nn_linear(ctx, 1, 1, NULL); /* what is left over is told all the same */
    cr_expect_neq(qn_load(linear, scratch_path("file")), QN_OK);
    qn_context_clear_error(ctx);
}
