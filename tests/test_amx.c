/* test_amx.c: bf16 products on the tiles of AMX, natively where the processor has them, else by the
 * emulator (amx/README.md), which has tests of its own first. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <immintrin.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "amx/amx_emulator.h"
#include "amx/amx_forms.h"
#include "bf16_rows.h"
#include "internal.h"

#define TILES __attribute__((target("amx-tile,amx-bf16"), noinline))

/* ---- the machine --------------------------------------------------------------------------- */

const char *__real_qnk_amx_missing(void);
const char *__wrap_qnk_amx_missing(void);

static const char *pretended; /* what the kernels hear to be missing */

const char *__wrap_qnk_amx_missing(void) { return pretended; }

static bool emulated;

static void prepare(void) {
    emulated = __real_qnk_amx_missing() != NULL;
    if (emulated)
        amx_emulator_install();
}

static void say_how(void) {
    if (emulated)
        printf("AMX: emulated, %lu instructions\n", amx_emulator_count());
    else
        puts("AMX: natively");
}

TestSuite(amx, .init = prepare, .fini = say_how);

static bool can_run(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#define NEED_FMA()                                                                                 \
    if (!can_run())                                                                                \
    cr_skip_test("AMX: skipped, this processor has no AVX2 and FMA")

static qn_context *open_amx(void) {
    qn_context *ctx = op_context("amx,ref", NULL);
    cr_assert_eq(qn_context_set_matmul_precision(ctx, QN_PRECISION_BF16), QN_OK);
    return ctx;
}

/* ---- the instructions ---------------------------------------------------------------------- */

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* c [rows, columns] += a [rows, 2 pairs] b [pairs, 2 columns], without gaps. */
TILES static void multiply_tiles(int rows, int columns, int pairs, const uint16_t *a,
                                 const uint16_t *b, float *c) {
    static tile_config config;
    config = (tile_config){.palette = 1};
    config.rows[0] = config.rows[1] = (uint8_t)rows;
    config.rows[2] = (uint8_t)pairs;
    config.row_bytes[0] = config.row_bytes[2] = (uint16_t)(4 * columns);
    config.row_bytes[1] = (uint16_t)(4 * pairs);
    __asm__ volatile("" ::"r"(&config) : "memory");
    _tile_loadconfig(&config);
    _tile_loadd(0, c, (size_t)columns * 4);
    _tile_loadd(1, a, (size_t)pairs * 4);
    _tile_loadd(2, b, (size_t)columns * 4);
    _tile_dpbf16ps(0, 1, 2);
    _tile_stored(0, c, (size_t)columns * 4);
    _tile_release();
}

static uint16_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return (uint16_t)(bits >> 16);
}

/* Small whole numbers: every sum is exact, in any order. */
static int whole(int seed) { return seed * 37 % 31 - 15; }

static bool shape_is_exact(int rows, int columns, int pairs) {
    uint16_t a[16 * 32], b[16 * 32];
    float c[16 * 16 + 1];
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < 2 * pairs; k++)
            a[i * 2 * pairs + k] = bits_of((float)whole(i * 32 + k));
    for (int k = 0; k < 2 * pairs; k++)
        for (int j = 0; j < columns; j++)
            b[k / 2 * 2 * columns + 2 * j + k % 2] = bits_of((float)whole(500 + k * 16 + j));
    for (int i = 0; i <= rows * columns; i++)
        c[i] = (float)i;
    multiply_tiles(rows, columns, pairs, a, b, c);
    bool exact = c[rows * columns] == (float)(rows * columns); /* nothing is written behind it */
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            int sum = i * columns + j;
            for (int k = 0; k < 2 * pairs; k++)
                sum += whole(i * 32 + k) * whole(500 + k * 16 + j);
            exact = exact && c[i * columns + j] == (float)sum;
        }
    return exact;
}

Test(amx, instructions_on_tiles_of_every_shape) {
    NEED_FMA();
    for (int rows = 1; rows <= 16; rows++)
        for (int columns = 1; columns <= 16; columns++)
            for (int pairs = 1; pairs <= 16; pairs++)
                cr_assert(shape_is_exact(rows, columns, pairs), "%d x %d, %d pairs", rows, columns,
                          pairs);
}

/* One element of c after a [4] times b [4]. */
static float one_element(float c, const float a[4], const float b[4]) {
    uint16_t left[4], right[4];
    for (int i = 0; i < 4; i++) {
        left[i] = bits_of(a[i]);
        right[i] = bits_of(b[i]);
    }
    multiply_tiles(1, 1, 2, left, right, &c);
    return c;
}

Test(amx, instructions_sum_in_their_order_and_flush_denormals) {
    NEED_FMA();
    static const struct {
        float c, a[4], b[4], expected;
        const char *what;
    } cases[] = {
        {1, {2, 3, 4, 5}, {6, 7, 8, 9}, 111, "all of them"},
        {0, {0x1p24f, 1, 1, 1}, {1, 1, 1, 1}, 0x1p24f + 2, "even and odd apart"},
        {0, {1, 0, 0x1.02p0f, 0}, {0x1p24f, 0, 1, 0}, 0x1p24f + 2, "products are not rounded"},
        {-0x1p24f, {0x1p24f, 0, 1, 0}, {1, 0, 1, 0}, 0, "c comes last"},
        {1, {0x1p-127f, 0, 0, 0}, {0x1p127f, 0, 0, 0}, 1, "denormal operands are 0"},
        {0, {0x1p-64f, 0, 0, 0}, {0x1p-64f, 0, 0, 0}, 0, "denormal results are 0"},
        {0x1p-127f, {0, 0, 0, 0}, {0, 0, 0, 0}, 0, "a denormal c is 0"},
        {0, {0x1p-63f, 0, 0, 0}, {0x1p-63f, 0, 0, 0}, 0x1p-126f, "the smallest normal number"},
        {0, {0x1p127f, 0, 0, 0}, {2, 0, 0, 0}, INFINITY, "overflow"},
        {0, {INFINITY, 0, 0, 0}, {0, 0, 0, 0}, NAN, "infinity times 0"},
        {0, {INFINITY, -INFINITY, 0, 0}, {1, 1, 0, 0}, NAN, "infinity less infinity"},
        {0, {NAN, 0, 0, 0}, {1, 0, 0, 0}, NAN, "NaN"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        float got = one_element(cases[i].c, cases[i].a, cases[i].b);
        cr_expect(got == cases[i].expected ||
                      (got != got && cases[i].expected != cases[i].expected),
                  "%s: %a, not %a", cases[i].what, got, cases[i].expected);
    }
}

TILES static void without_configuration(void) { _tile_zero(0); }

Test(amx, tiles_without_configuration_are_a_fault, .signal = SIGILL) { without_configuration(); }

Test(amx, shapes_that_do_not_fit_are_a_fault, .signal = SIGILL) {
    uint16_t numbers[2 * 17] = {0};
    float c[17] = {0};
    if (emulated)
        multiply_tiles(1, 17, 1, numbers, numbers, c);
    else
        raise(SIGILL); /* the processor's own fault is another one */
}

/* ---- the kernels --------------------------------------------------------------------------- */

Test(amx, rows_are_sums_over_rounded_operands) {
    NEED_FMA();
    char difference[256];
    qn_context *ctx = open_amx();
    for (int i = 0; i < op_case_count; i++) {
        const op_case *row = &op_cases[i];
        for (int layout = 0; layout < OP_LAYOUTS_OF_SAME_VALUES && bf16_is_product(row); layout++)
            cr_expect(bf16_is_right(ctx, row, row->small, (op_layout)layout, difference,
                                    sizeof(difference)),
                      "%s, layout %d: %s", row->id, layout, difference);
    }
    qn_context_free(ctx);
}

Test(amx, large_rows_are_sums_over_rounded_operands) {
    NEED_FMA();
    char difference[256];
    qn_context *ctx = open_amx();
    for (int i = 0; i < op_case_count; i++) {
        const op_case *row = &op_cases[i];
        if (bf16_is_product(row))
            cr_expect(
                bf16_is_right(ctx, row, row->large, CONTIGUOUS, difference, sizeof(difference)),
                "%s: %s", row->id, difference);
    }
    qn_context_free(ctx);
}

Test(amx, convolutions_of_many_channels) {
    NEED_FMA();
    static const struct {
        const char *id, *inputs[OP_MAX_INPUTS];
    } cases[] = {
        {"conv2d", {"2x16x6x6", "3x16x3x3", "3"}},
        {"conv2d", {"3x17x9x7", "19x17x3x3", "19"}},
        {"conv2d", {"9x33x4x40", "40x33x3x3", "40"}},
        {"conv2d", {"1x64x20x4", "16x64x3x3", "16"}},
        {"conv2d_five", {"2x20x6x8", "33x20x5x5", "33"}},
        {"conv2d_dilated", {"2x18x9x8", "17x18x3x2", "17"}},
        {"conv2d_groups", {"3x34x6x9", "70x17x3x3", "70"}},
        {"conv2d_strided", {"2x17x13x19", "18x17x3x2"}},
        {"conv2d_strided", {"3x16x10x32", "33x16x2x3"}},
        {"conv2d_strided", {"2x20x15x16", "5x20x1x1"}},
    };
    char difference[256];
    qn_context *ctx = open_amx();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int row = 0; row < op_case_count; row++)
            for (int layout = 0;
                 layout < OP_LAYOUTS_OF_SAME_VALUES && strcmp(op_cases[row].id, cases[i].id) == 0;
                 layout++)
                cr_expect(bf16_is_right(ctx, &op_cases[row], cases[i].inputs, (op_layout)layout,
                                        difference, sizeof(difference)),
                          "%s, %s, layout %d: %s", cases[i].id, cases[i].inputs[0], layout,
                          difference);
    qn_context_free(ctx);
}

#ifdef QN_AMX_AVX512 /* what is built here */
Test(amx, both_forms_of_the_vector_part_are_alike) {
    char difference[256];
    if (!__builtin_cpu_supports("avx512bw"))
        cr_skip_test("AMX: this processor has no AVX-512; gate isa compares the two");
    cr_assert(amx_forms_are_alike(difference, sizeof(difference)), "%s", difference);
}
#endif

Test(amx, edges_of_tiles) {
    NEED_FMA();
    char difference[256];
    qn_context *ctx = open_amx();
    cr_expect(bf16_edges_are_right(ctx, difference, sizeof(difference)), "%s", difference);
    qn_context_free(ctx);
}

Test(amx, edges_of_blocks) {
    NEED_FMA();
    static const char *const shapes[][3] = {
        {"1030x5", "5x1030"}, {"3x2050", "2050x5"}, {"1025x2049", "2049x2"}, {"40x0", "0x3"}};
    char difference[256];
    qn_context *ctx = open_amx();
    for (int i = 0; i < op_case_count; i++)
        for (int shape = 0; shape < 4 && strcmp(op_cases[i].id, "matmul") == 0; shape++)
            cr_expect(bf16_is_right(ctx, &op_cases[i], shapes[shape], CONTIGUOUS, difference,
                                    sizeof(difference)),
                      "%s x %s: %s", shapes[shape][0], shapes[shape][1], difference);
    qn_context_free(ctx);
}

Test(amx, special_values) {
    NEED_FMA();
    qn_context *ctx = open_amx();
    cr_expect(bf16_special_values_are_right(ctx));
    qn_context_free(ctx);
}

/* A row's outcome with one thread and with five. */
static void expect_same_bits(const op_case *row, const char *const *shapes) {
    char difference[256];
    qn_context *ctx = open_amx();
    op_inputs inputs = op_inputs_make(shapes, 17);
    qn_context_set_threads(ctx, 1);
    op_outcome one = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
    qn_context_set_threads(ctx, 5);
    op_outcome many = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
    cr_expect(op_outcomes_alike(&one, &many, 0, difference, sizeof(difference)), "%s, %s: %s",
              row->id, shapes[0], difference);
    op_outcome_free(&many);
    op_outcome_free(&one);
    op_inputs_free(&inputs);
    qn_context_free(ctx);
}

Test(amx, threads_change_no_bit) {
    NEED_FMA();
    static const char *const one_image[OP_MAX_INPUTS + 1] = {"1x20x9x8", "70x20x3x3", "70"};
    for (int i = 0; i < op_case_count; i++) {
        const op_case *row = &op_cases[i];
        const bool conv2d = strcmp(row->id, "conv2d") == 0;
        if (conv2d)
            expect_same_bits(row, one_image);
        if (conv2d || strcmp(row->id, "matmul") == 0)
            expect_same_bits(row, row->large);
    }
}

Test(amx, relu_in_a_convolution_is_that_after_it) {
    NEED_FMA();
    qn_context *ctx = open_amx();
    qn_tensor *in[] = {qn_normal(ctx, QN_F32, QN_SHAPE(2, 3, 9, 7), 0, 1),
                       qn_normal(ctx, QN_F32, QN_SHAPE(5, 3, 3, 3), 0, 1), NULL};
    qn_conv2d_attrs attrs = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    double *expected = op_values(qn_relu(qni_apply(&qni_op_conv2d, in, 3, &attrs)));
    attrs.relu = 1;
    qn_tensor *y = qni_apply(&qni_op_conv2d, in, 3, &attrs);
    double *got = op_values(y);
    cr_expect_arr_eq(got, expected, (size_t)qn_tensor_count(y) * sizeof(double));
    free(got);
    free(expected);
    qn_context_free(ctx);
}

/* ---- the log ------------------------------------------------------------------------------- */

/** What QUERN_LOG=dispatch says of one product; to be freed. */
static char *log_of_product(qn_precision precision) {
    char *text = NULL;
    size_t size = 0;
    FILE *screen = stderr;
    setenv("QUERN_LOG", "dispatch", 1);
    qn_context *ctx = op_context(NULL, NULL);
    unsetenv("QUERN_LOG");
    qn_context_set_matmul_precision(ctx, precision);
    qn_tensor *x = qn_full(ctx, QN_F32, QN_SHAPE(4, 4), 0.5);
    stderr = open_memstream(&text, &size);
    cr_assert_not_null(qn_matmul(x, x));
    fclose(stderr);
    stderr = screen;
    qn_context_free(ctx);
    return text;
}

static void expect_in_log(qn_precision precision, const char *missing, const char *words) {
    pretended = missing;
    char *text = log_of_product(precision);
    cr_expect(strstr(text, words), "\"%s\" is not in \"%s\"", words, text);
    free(text);
}

Test(amx, the_log_proves_what_ran_and_says_why_not) {
    NEED_FMA();
    expect_in_log(QN_PRECISION_BF16, NULL, "matmul by amx: [4, 4] [4, 4]");
    expect_in_log(QN_PRECISION_BF16, "no tiles", "matmul: amx declined: no tiles\n");
    expect_in_log(QN_PRECISION_F32, NULL, "matmul: amx declined: for precision bf16 only\n");
}

Test(amx, an_isa_that_is_asked_for_is_without_it) {
    qn_context *ctx = op_context("amx,ref", "avx2");
    qn_context_set_matmul_precision(ctx, QN_PRECISION_BF16);
    unsigned long count = amx_emulator_count();
    qn_tensor *x = qn_full(ctx, QN_F32, QN_SHAPE(4, 4), 0.5);
    cr_expect_not_null(qn_matmul(x, x));
    cr_expect_eq(amx_emulator_count(), count);
    qn_context_free(ctx);
}
