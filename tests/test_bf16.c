/* test_bf16.c: products and convolutions of f32 tensors in precision bf16 on the CPU, by the
 * kernels that every processor has; those of AMX are in test_amx.c. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bf16_rows.h"
#include "quern_backend.h"

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* ---- rounding ------------------------------------------------------------------------------ */

Test(bf16, rounding_of_chosen_values) {
    static const struct {
        uint32_t x;
        uint16_t expected;
    } cases[] = {
        {0x3f800000, 0x3f80},                       /* 1 */
        {0x3f808000, 0x3f80},                       /* half way, down to even */
        {0x3f818000, 0x3f82},                       /* half way, up to even */
        {0x3f808001, 0x3f81},                       /* just above half */
        {0xbf818000, 0xbf82},                       /* and below 0 */
        {0x3fffffff, 0x4000},                       /* into the next power of two */
        {0x7f7fffff, 0x7f80},                       /* the largest float becomes infinite */
        {0x7f7f7fff, 0x7f7f},                       /* the largest that does not */
        {0x7f800000, 0x7f80},                       /* infinity */
        {0xff800000, 0xff80}, {0x7f800001, 0x7fc0}, /* NaN whose mark lies in the bits cut off */
        {0xffffffff, 0xffff},                       /* NaN that adding would turn over */
        {0x7fc00000, 0x7fc0}, {0x00800000, 0x0080}, /* the smallest normal number */
        {0x007fffff, 0x0000},                       /* the largest denormal one */
        {0x80000001, 0x8000}, {0x80000000, 0x8000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(qn_bf16_bits(from_bits(cases[i].x)), cases[i].expected, "%08x: %04x, not %04x",
                     cases[i].x, qn_bf16_bits(from_bits(cases[i].x)), cases[i].expected);
}

Test(bf16, rounding_is_to_the_nearest_everywhere) {
    for (uint32_t step = 0; step < 1u << 20; step++) {
        float x = from_bits(step * 4093u); /* odd: goes through all sorts of low bits */
        double nearest = bf16_nearest(x), got = qn_bf16_round(x);
        cr_assert(isnan(x) ? isnan(got) : got == nearest && !signbit(got) == !signbit(nearest),
                  "%a: %a, not %a", x, got, nearest);
    }
}

/* ---- the switch ---------------------------------------------------------------------------- */

Test(bf16, the_cpu_has_f32_and_bf16) {
    qn_context *ctx = qn_context_new("cpu");
    cr_expect_eq(qn_context_set_matmul_precision(ctx, QN_PRECISION_BF16), QN_OK);
    cr_expect_eq(qn_context_matmul_precision(ctx), QN_PRECISION_BF16);
    static const qn_precision lacking[] = {QN_PRECISION_TF32, QN_PRECISION_F16};
    static const char *const words[] = {"matmul precision tf32: cpu does not have it",
                                        "matmul precision f16: cpu does not have it"};
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(qn_context_set_matmul_precision(ctx, lacking[i]), QN_UNSUPPORTED);
        cr_expect_str_eq(qn_context_message(ctx), words[i]);
        qn_context_clear_error(ctx);
    }
    cr_expect_eq(qn_context_matmul_precision(ctx), QN_PRECISION_BF16, "refusals change nothing");
    qn_context_free(ctx);
}

/* ---- values -------------------------------------------------------------------------------- */

/* Ways to compute: QUERN_PROVIDERS and QUERN_ISA. OpenBLAS declines, and ref serves. */
static const char *const ways[][2] = {
    {"ref", NULL}, {"openblas,ref", NULL}, {NULL, "avx2"}, {NULL, NULL}};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static qn_context *open_way(int way) {
    bool any = !ways[way][0] && !ways[way][1];
    qn_context *ctx = any ? qn_context_new("cpu") : op_context(ways[way][0], ways[way][1]);
    cr_assert_eq(qn_context_set_matmul_precision(ctx, QN_PRECISION_BF16), QN_OK);
    return ctx;
}

Test(bf16, rows_are_sums_over_rounded_operands) {
    char difference[256];
    for (int way = 0; way < WAYS; way++) {
        qn_context *ctx = open_way(way);
        for (int i = 0; i < op_case_count; i++) {
            const op_case *row = &op_cases[i];
            for (int layout = 0; layout < OP_LAYOUTS_OF_SAME_VALUES && bf16_is_product(row);
                 layout++)
                cr_expect(bf16_is_right(ctx, row, row->small, (op_layout)layout, difference,
                                        sizeof(difference)),
                          "%s, way %d, layout %d: %s", row->id, way, layout, difference);
        }
        qn_context_free(ctx);
    }
}

Test(bf16, large_rows_are_sums_over_rounded_operands) {
    char difference[256];
    qn_context *ctx = open_way(WAYS - 1);
    for (int i = 0; i < op_case_count; i++) {
        const op_case *row = &op_cases[i];
        if (bf16_is_product(row))
            cr_expect(
                bf16_is_right(ctx, row, row->large, CONTIGUOUS, difference, sizeof(difference)),
                "%s: %s", row->id, difference);
    }
    qn_context_free(ctx);
}

Test(bf16, edges_of_tiles) {
    char difference[256];
    for (int way = 0; way < WAYS; way++) {
        qn_context *ctx = open_way(way);
        cr_expect(bf16_edges_are_right(ctx, difference, sizeof(difference)), "way %d: %s", way,
                  difference);
        qn_context_free(ctx);
    }
}

Test(bf16, special_values) {
    for (int way = 0; way < WAYS; way++) {
        qn_context *ctx = open_way(way);
        cr_expect(bf16_special_values_are_right(ctx), "way %d", way);
        qn_context_free(ctx);
    }
}

Test(bf16, operands_that_repeat_are_rounded_once_and_read_as_before) {
    for (int way = 0; way < WAYS; way++) {
        qn_context *ctx = open_way(way);
        qn_tensor *one = qn_full(ctx, QN_F32, QN_SHAPE(1, 1), 1 + 0x1p-9);
        qn_tensor *all = qn_matmul(qn_expand(one, QN_SHAPE(3, 4)), qn_expand(one, QN_SHAPE(4, 5)));
        double *values = op_values(all);
        for (int i = 0; i < 15; i++)
            cr_expect_eq(values[i], 4, "way %d", way);
        free(values);
        static const float counted[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
        qn_tensor *series = qn_from_data(ctx, QN_F32, QN_SHAPE(9), counted);
        qn_tensor *windows = qn_unfold(series, 0, 4, 1); /* [6, 4], rows that overlap */
        values = op_values(qn_matmul(windows, qn_full(ctx, QN_F32, QN_SHAPE(4, 1), 1 + 0x1p-9)));
        for (int i = 0; i < 6; i++)
            cr_expect_eq(values[i], 4 * i + 6, "way %d, window %d: %g", way, i, values[i]);
        free(values);
        qn_context_free(ctx);
    }
}

Test(bf16, f64_is_left_alone) {
    for (int way = 0; way < WAYS; way++) {
        qn_context *ctx = open_way(way);
        double *values[2];
        for (int precision = 0; precision < 2; precision++) {
            qn_context_set_matmul_precision(ctx, precision ? QN_PRECISION_BF16 : QN_PRECISION_F32);
            qn_context_seed(ctx, 5);
            qn_tensor *x = qn_normal(ctx, QN_F64, QN_SHAPE(4, 3, 8, 8), 0, 1);
            qn_tensor *w = qn_normal(ctx, QN_F64, QN_SHAPE(2, 3, 3, 3), 0, 1);
            values[precision] = op_values(qn_conv2d(qn_matmul(x, x), w, NULL, NULL));
        }
        cr_expect_arr_eq(values[0], values[1], 4 * 2 * 6 * 6 * sizeof(double), "way %d", way);
        free(values[0]);
        free(values[1]);
        qn_context_free(ctx);
    }
}

/* ---- threads and plans --------------------------------------------------------------------- */

Test(bf16, threads_change_no_bit) {
    char difference[256];
    for (int i = 0; i < op_case_count; i++) {
        const op_case *row = &op_cases[i];
        if (!bf16_is_product(row))
            continue;
        qn_context *ctx = open_way(WAYS - 1);
        op_inputs inputs = op_inputs_make(row->large, 17);
        qn_context_set_threads(ctx, 1);
        op_outcome one = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
        for (int threads = 2; threads <= 5; threads += 3) {
            qn_context_set_threads(ctx, threads);
            op_outcome many = op_run(ctx, row, &inputs, QN_F32, CONTIGUOUS);
            cr_expect(op_outcomes_alike(&one, &many, 0, difference, sizeof(difference)),
                      "%s, %d threads: %s", row->id, threads, difference);
            op_outcome_free(&many);
        }
        op_outcome_free(&one);
        op_inputs_free(&inputs);
        qn_context_free(ctx);
    }
}

static qn_status square(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)data;
    out[0] = qn_matmul(in[0], in[0]);
    return QN_OK;
}

/** Runs the plan often enough to be replayed; the last value. */
static double replay(qn_context *ctx, qn_plan *plan, qn_tensor *x) {
    double value = 0;
    for (int run = 0; run < 5; run++) {
        qn_tensor *y;
        cr_assert_eq(qn_plan_run(plan, &x, 1, &y, 1), QN_OK, "%s", qn_context_message(ctx));
        value = qn_item(y);
        qn_step_end(ctx);
    }
    return value;
}

Test(bf16, plans_are_replayed_in_the_precision_of_now) {
    qn_context *ctx = open_way(WAYS - 1);
    qn_tensor *x = qn_keep(qn_full(ctx, QN_F32, QN_SHAPE(1, 1), 1 + 0x1p-9));
    qn_plan *plan = qn_plan_new(ctx, square, NULL);
    cr_expect_eq(replay(ctx, plan, x), 1);
    cr_expect_eq(qn_plan_stats(plan).replayed, 2);
    qn_context_set_matmul_precision(ctx, QN_PRECISION_F32);
    cr_expect_eq(replay(ctx, plan, x), 1.00390625 + 0x1p-18);
    qn_context_set_matmul_precision(ctx, QN_PRECISION_BF16);
    cr_expect_eq(replay(ctx, plan, x), 1);
    cr_expect_gt(qn_plan_stats(plan).replayed, 2);
    qn_context_free(ctx);
}
