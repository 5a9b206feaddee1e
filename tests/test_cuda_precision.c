/* test_cuda_precision.c: how products and convolutions read their operands on the simulated GPU, by
 * the context's precision. In bf16 convolutions also round what they give. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "bf16_rows.h"
#include "quern_backend.h"
#include "simulated_gpu.h"

TestSuite(cuda_precision, .init = open_gpu, .fini = close_gpu, .timeout = 300);

/* A device that has no bfloat16. */
static void open_old_gpu(void) {
    setenv("CUDASIM_CAPABILITY", "75", 1);
    open_gpu();
}

TestSuite(cuda_precision_before_bf16, .init = open_old_gpu, .fini = close_gpu, .timeout = 300);

static void set_precision(qn_context *ctx, qn_precision precision) {
    cr_assert_eq(qn_context_set_matmul_precision(ctx, precision), QN_OK, "%s",
                 qn_context_message(ctx));
}

/* ---- operands of one element ------------------------------------------------------------ */

/* 1 + 2^-9 in TF32 and half precision, 1 in bfloat16; and its square by precision. */
static const double operand = 1 + 0x1p-9 + 0x1p-13;
static const float square_in_tf32 = 1 + 0x1p-8f + 0x1p-18f;

static const struct {
    qn_precision precision;
    float square;
} precisions[] = {
    {QN_PRECISION_F32, 1 + 0x1p-8f + 0x1p-12f + 0x1p-18f + 0x1p-21f}, /* 2^-26 is lost */
    {QN_PRECISION_TF32, 1 + 0x1p-8f + 0x1p-18f},
    {QN_PRECISION_F16, 1 + 0x1p-8f + 0x1p-18f},
    {QN_PRECISION_BF16, 1}};
enum { PRECISIONS = sizeof(precisions) / sizeof(precisions[0]) };

Test(cuda_precision, products_round_operands_and_sum_in_f32) {
    NEED_GPU();
    for (int i = 0; i < PRECISIONS; i++) {
        set_precision(gpu, precisions[i].precision);
        cr_expect_eq(qn_context_matmul_precision(gpu), precisions[i].precision);
        qn_tensor *x = qn_full(gpu, QN_F32, QN_SHAPE(1, 1), operand);
        cr_expect_eq((float)qn_item(qn_matmul(x, x)), precisions[i].square, "%d", i);
    }
    qn_context *cpu = qn_context_new("cpu");
    cr_expect_eq(qn_context_set_matmul_precision(cpu, QN_PRECISION_TF32), QN_UNSUPPORTED);
    qn_context_clear_error(cpu);
    cr_expect_eq(qn_context_set_matmul_precision(cpu, (qn_precision)7), QN_INVALID_ARGUMENT);
    qn_context_clear_error(cpu);
    qn_context_free(cpu);
}

/* y = x w, and its gradients by a gradient of y, where all three are `operand`. */
static void convolve_one(qn_context *ctx, float *y, float *dx, float *dw) {
    qn_tensor *x = qn_require_grad(qn_full(ctx, QN_F32, QN_SHAPE(1, 1, 1, 1), operand));
    qn_tensor *w = qn_require_grad(qn_full(ctx, QN_F32, QN_SHAPE(1, 1, 1, 1), operand));
    qn_tensor *product = qn_conv2d(x, w, NULL, NULL);
    cr_assert_not_null(product, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_backward(qn_affine(qn_sum(product, QN_ALL, false), operand, 0)), QN_OK);
    *y = (float)qn_item(product);
    *dx = (float)qn_item(qn_grad(x));
    *dw = (float)qn_item(qn_grad(w));
    qn_step_end(ctx);
}

static void expect_convolutions(qn_context *ctx, float expected, const char *what) {
    float y, dx, dw;
    convolve_one(ctx, &y, &dx, &dw);
    cr_expect(y == expected && dx == expected && dw == expected, "%s: %.9g, %.9g, %.9g, not %.9g",
              what, y, dx, dw, expected);
}

Test(cuda_precision, convolutions_and_their_gradients_round_operands) {
    NEED_GPU();
    for (int i = 0; i < PRECISIONS; i++) {
        set_precision(gpu, precisions[i].precision);
        expect_convolutions(gpu, precisions[i].square, "precision");
    }
    cr_expect_eq(qn_context_fallbacks(gpu), 0);
}

/* ---- bf16: what is expected ------------------------------------------------------------- */

static void expect_row(const op_case *row, const char *const *specs) {
    char difference[256];
    op_inputs inputs = op_inputs_make(specs, 31);
    op_outcome expected = bf16_expected(row, &inputs);
    op_outcome got = op_run(gpu, row, &inputs, QN_F32, CONTIGUOUS);
    /* 2^-8: the results have 8 bits, too */
    cr_expect(op_outcomes_alike(&expected, &got, 0x1p-8 + 1e-5, difference, sizeof(difference)),
              "%s of %s: %s", row->id, specs[0], difference);
    op_outcome_free(&got);
    op_outcome_free(&expected);
    op_inputs_free(&inputs);
}

Test(cuda_precision, rows_in_bf16_are_rounded_sums_over_rounded_operands) {
    NEED_GPU();
    int rows = 0;
    set_precision(gpu, QN_PRECISION_BF16);
    for (int i = 0; i < op_case_count; i++)
        if (bf16_is_product(&op_cases[i]) && strncmp(op_cases[i].id, "conv", 4) == 0) {
            expect_row(&op_cases[i], op_cases[i].small);
            expect_row(&op_cases[i], op_cases[i].large);
            rows++;
        }
    cr_expect_geq(rows, 10, "%d rows", rows);
    cr_expect_eq(qn_context_fallbacks(gpu), 0);
}

/* ---- bf16: chosen numbers --------------------------------------------------------------- */

static float number_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

static bool same(double a, double b) { return isnan(a) ? isnan(b) : a == b; }

Test(cuda_precision, operands_in_bf16_are_rounded_as_on_the_cpu) {
    NEED_GPU();
    enum { COUNT = 1 << 14 };
    static float x[COUNT];
    set_precision(gpu, QN_PRECISION_BF16);
    for (uint32_t i = 0; i < COUNT; i++)
        x[i] = number_of(i * 262139u); /* prime: goes through all sorts of low bits */
    /* half way, down and up to even; NaN whose mark lies in the bits cut off, and which adding
     * would turn over; the largest float, which becomes infinite */
    static const uint32_t chosen[] = {0x3f808000, 0x3f818000, 0x7f800001, 0xffffffff, 0x7f7fffff};
    for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++)
        x[i] = number_of(chosen[i]);
    qn_tensor *line = qn_from_data(gpu, QN_F32, QN_SHAPE(1, 1, 1, COUNT), x);
    qn_tensor *one = qn_full(gpu, QN_F32, QN_SHAPE(1, 1, 1, 1), 1);
    double *got = op_values(qn_conv2d(line, one, NULL, NULL));
    for (int i = 0; i < COUNT; i++)
        cr_assert(same(qn_bf16_round(x[i]), got[i]), "%a: %a, not %a", x[i], got[i],
                  qn_bf16_round(x[i]));
    free(got);
}

Test(cuda_precision, products_of_special_values_in_bf16) {
    NEED_GPU();
    static const float values[] = {0,         -1,        INFINITY, -INFINITY, NAN,
                                   0x1p-127f, 0x1p-126f, 0x1p127f, 0x1.03p0f, 0x1.fffffep127f};
    enum { COUNT = sizeof(values) / sizeof(values[0]) };
    set_precision(gpu, QN_PRECISION_BF16);
    qn_tensor *x = qn_from_data(gpu, QN_F32, QN_SHAPE(1, 1, 1, COUNT), values);
    qn_tensor *w = qn_from_data(gpu, QN_F32, QN_SHAPE(COUNT, 1, 1, 1), values);
    double *got = op_values(qn_conv2d(x, w, NULL, NULL)); /* [1, COUNT, 1, COUNT] */
    for (int i = 0; i < COUNT * COUNT; i++) {
        const float a = values[i / COUNT], b = values[i % COUNT];
        const float product = qn_bf16_round(a) * qn_bf16_round(b);
        if (fabsf(product) < 0x1p-126f) /* sums may flush those, or keep them */
            cr_expect_lt(fabs(got[i]), 0x1p-126, "%a x %a: %a", a, b, got[i]);
        else
            cr_expect(same(qn_bf16_round(product), got[i]), "%a x %a: %a, not %a", a, b, got[i],
                      qn_bf16_round(product));
    }
    free(got);
}

Test(cuda_precision, results_in_bf16_are_rounded_and_biases_are_not) {
    NEED_GPU();
    const float weights[2] = {1, 3 * 0x1p-9f}; /* the sum lies above half way from 1 to 1 + 2^-7 */
    set_precision(gpu, QN_PRECISION_BF16);
    qn_tensor *x = qn_ones(gpu, QN_F32, QN_SHAPE(1, 2, 1, 1));
    qn_tensor *w = qn_from_data(gpu, QN_F32, QN_SHAPE(1, 2, 1, 1), weights);
    cr_expect_eq(qn_item(qn_conv2d(x, w, NULL, NULL)), 1 + 0x1p-7);
    qn_tensor *bias = qn_full(gpu, QN_F32, QN_SHAPE(1), 0x1p-15);
    cr_expect_eq(qn_item(qn_conv2d(x, w, bias, NULL)), 1 + 0x1p-7 + 0x1p-15);
}

Test(cuda_precision, operands_in_bf16_may_begin_anywhere) {
    NEED_GPU();
    enum { COUNT = 14, SIZE = 6 };
    float numbers[COUNT];
    set_precision(gpu, QN_PRECISION_BF16);
    for (int i = 0; i < COUNT; i++)
        numbers[i] = (float)i;
    qn_tensor *all = qn_from_data(gpu, QN_F32, QN_SHAPE(COUNT), numbers);
    for (int start = 0; start + SIZE <= COUNT; start++) {
        qn_tensor *x = qn_reshape(qn_slice(all, 0, start, start + SIZE), QN_SHAPE(1, SIZE, 1, 1));
        qn_tensor *w = qn_ones(gpu, QN_F32, QN_SHAPE(1, SIZE, 1, 1));
        cr_expect_eq(qn_item(qn_conv2d(x, w, NULL, NULL)), 6 * start + 15, "from %d", start);
    }
}

/* ---- bf16: where cuDNN does not take it ------------------------------------------------- */

/* Then cuDNN reads f32 as TF32, which the simulated one does on any device, and kernels of our own
 * do not. */
Test(cuda_precision_before_bf16, convolutions_read_tf32) {
    NEED_GPU();
    set_precision(gpu, QN_PRECISION_BF16);
    expect_convolutions(gpu, square_in_tf32, "compute capability 7.5");
    cr_expect_eq(qn_context_fallbacks(gpu), 0);
}

Test(cuda_precision, convolutions_read_tf32_where_cudnn_declines_bf16) {
    NEED_GPU();
    static const char *const calls[] = {"cudnnCreateTensorDescriptor",
                                        "cudnnSetFilter4dDescriptor",
                                        "cudnnSetConvolution2dDescriptor",
                                        "cudnnSetConvolutionMathType",
                                        "cudnnGetConvolution2dForwardOutputDim",
                                        "cudnnGetConvolutionForwardAlgorithm_v7",
                                        "cudnnGetConvolutionForwardWorkspaceSize"};
    enum { UNKNOWN = 999 };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        int before = find("cudasim_live").number();
        qn_context *other = qn_context_new("cuda");
        set_precision(other, QN_PRECISION_BF16);
        qn_tensor *x = qn_full(other, QN_F32, QN_SHAPE(1, 1, 1, 1), operand);
        find("cudasim_fail_at").fail_at(calls[i], 1, UNKNOWN);
        for (int run = 0; run < 2; run++)
            cr_expect_eq((float)qn_item(qn_conv2d(x, x, NULL, NULL)), square_in_tf32, "%s",
                         calls[i]);
        cr_expect(find("cudasim_failed").number(), "%s was not called", calls[i]);
        find("cudasim_fail_at").fail_at("", 0, 0);
        cr_expect_eq(qn_context_error(other, stderr), QN_OK);
        qn_context_free(other);
        cr_expect_eq(find("cudasim_live").number(), before, "%s: leaks", calls[i]);
    }
}

/* The library goes on in f32 rather than a kernel of our own, which is far slower. */
Test(cuda_precision, products_are_the_librarys_where_it_has_none_in_a_precision) {
    NEED_GPU();
    static const qn_precision reduced[] = {QN_PRECISION_TF32, QN_PRECISION_BF16, QN_PRECISION_F16};
    enum { NOT_SUPPORTED = 15 };
    for (int i = 0; i < 3; i++) {
        qn_context *other = qn_context_new("cuda");
        set_precision(other, reduced[i]);
        qn_tensor *x = qn_full(other, QN_F32, QN_SHAPE(16, 16), operand);
        qn_context_synchronize(other);
        const long before = count("library_calls"), kernels = count("kernels");
        find("cudasim_fail_at").fail_at("cublasLtMatmulAlgoGetHeuristic", 1, NOT_SUPPORTED);
        qn_tensor *y = qn_matmul(x, x);
        cr_expect(find("cudasim_failed").number(), "it was not asked");
        find("cudasim_fail_at").fail_at("", 0, 0);
        cr_expect_eq(qn_context_synchronize(other), QN_OK);
        cr_expect_eq(count("library_calls") - before, 1, "precision %d", (int)reduced[i]);
        cr_expect_eq(count("kernels"), kernels);
        cr_expect_float_eq((float)qn_item(qn_mean(y, QN_ALL, false)), 16 * operand * operand, 1e-4);
        qn_context_free(other);
    }
}

Test(cuda_precision, each_call_of_a_convolution_in_bf16_may_fail) {
    NEED_GPU();
    static const struct {
        const char *call;
        long uses;
    } calls[] = {{"cudaLaunchKernel", 3}, {"cudnnConvolutionForward", 1}, {"cudnnAddTensor", 1}};
    enum { UNKNOWN = 999 };
    set_precision(gpu, QN_PRECISION_BF16);
    qn_tensor *x = qn_ones(gpu, QN_F32, QN_SHAPE(1, 1, 1, 1));
    qn_tensor *bias = qn_ones(gpu, QN_F32, QN_SHAPE(1));
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        for (long n = 1; n <= calls[i].uses; n++) {
            find("cudasim_fail_at").fail_at(calls[i].call, n, UNKNOWN);
            cr_expect_null(qn_conv2d(x, x, bias, NULL), "%s, use %ld", calls[i].call, n);
            find("cudasim_fail_at").fail_at("", 0, 0);
            cr_expect_eq(qn_context_error(gpu, NULL), QN_DEVICE_ERROR);
            cr_expect_str_not_empty(qn_context_message(gpu));
            qn_context_clear_error(gpu);
            cr_expect_eq(qn_item(qn_conv2d(x, x, bias, NULL)), 2);
        }
}

/* ---- bf16: steps ------------------------------------------------------------------------ */

typedef struct task {
    qn_context *ctx;
    qn_module *net;
    qn_optimizer *optimizer;
    qn_tensor *x; /* kept */
} task;

static void make_task(task *t, qn_context *ctx) {
    *t = (task){.ctx = ctx};
    set_precision(ctx, QN_PRECISION_BF16);
    qn_context_seed(ctx, 3);
    t->net = qn_nn_sequential(ctx, qn_nn_conv2d(ctx, 3, 4, 3, NULL), qn_nn_tanh(ctx),
                              qn_nn_conv2d(ctx, 4, 2, 3, NULL), NULL);
    t->optimizer = qn_optimizer_new(t->net, qn_sgd(1e-2, 0));
    t->x = qn_keep(qn_normal(ctx, QN_F32, QN_SHAPE(2, 3, 8, 8), 0, 1));
    qn_step_end(ctx);
}

static qn_status step_body(void *data, qn_tensor *const *in, qn_tensor **out) {
    task *t = data;
    (void)in;
    qn_tensor *y = qn_forward(t->net, t->x);
    out[0] = qn_sum(qn_mul(y, y), QN_ALL, false);
    qn_status status = qn_backward(out[0]);
    return status == QN_OK ? qn_optimizer_step(t->optimizer) : status;
}

Test(cuda_precision, a_steady_step_in_bf16_allocates_nothing_and_waits_for_nothing) {
    NEED_GPU();
    task t;
    qn_tensor *loss;
    make_task(&t, gpu);
    long waits = 0, allocations = 0;
    for (int i = 0; i < 8; i++) {
        if (i == 3) {
            qn_context_synchronize(gpu);
            waits = count("synchronizations");
            allocations = count("allocations");
        }
        cr_assert_eq(step_body(&t, NULL, &loss), QN_OK, "%s", qn_context_message(gpu));
        qn_step_end(gpu);
    }
    cr_expect_eq(count("synchronizations"), waits);
    cr_expect_eq(count("allocations"), allocations);
}

Test(cuda_precision, a_plan_in_bf16_is_one_launch_a_step_and_gives_the_same_bits) {
    NEED_GPU();
    enum { STEPS = 8 };
    double expected[STEPS], got[STEPS];
    task t;
    qn_tensor *loss;
    make_task(&t, gpu);
    for (int i = 0; i < STEPS; i++) {
        cr_assert_eq(step_body(&t, NULL, &loss), QN_OK, "%s", qn_context_message(gpu));
        expected[i] = qn_item(loss);
        qn_step_end(gpu);
    }
    qn_context *other = qn_context_new("cuda");
    make_task(&t, other);
    qn_plan *plan = qn_plan_new(other, step_body, &t);
    long launches = 0;
    for (int i = 0; i < STEPS; i++) {
        launches = count("graph_launches");
        cr_assert_eq(qn_plan_run(plan, NULL, 0, &loss, 1), QN_OK, "%s", qn_context_message(other));
        got[i] = qn_item(loss);
        qn_step_end(other);
    }
    cr_expect(qn_plan_stats(plan).graph);
    cr_expect_eq(count("graph_launches") - launches, 1);
    cr_expect_arr_eq(got, expected, sizeof(got));
    qn_context_free(other);
}
