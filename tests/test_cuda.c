/* test_cuda.c: the CUDA backend on the simulated GPU: that nothing is missing, what happens when
 * memory ends, data is wrong or a call fails, and what a training step costs. The operation table
 * runs there by QUERN_TEST_DEVICE. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "internal.h"
#include "simulated_gpu.h"

extern const qn_kernel *const qnk_ref_table[];

TestSuite(cuda, .init = open_gpu, .fini = close_gpu, .timeout = 300);

/* ---- nothing is missing -------------------------------------------------------------------- */

Test(cuda, every_operation_has_a_kernel) {
    NEED_GPU();
    const qni_op *const *op = qni_op_table;
    int kernels = 0;
    for (; *op; op++) {
        const char *name = (*op)->kernel ? (*op)->kernel : (*op)->name;
        bool needed = false;
        for (const qn_kernel *const *kernel = qnk_ref_table; *kernel; kernel++)
            needed = needed || strcmp((*kernel)->op, name) == 0;
        const qni_candidates *there = qni_kernels_find(gpu->kernels, *op);
        cr_expect(!needed || (there && there->count > 0), "no kernel for %s", name);
        kernels += needed;
    }
    cr_expect_gt(kernels, 100);
}

/* ---- a network and its training ------------------------------------------------------------- */

enum { BATCH = 8, SIDE = 8, CLASSES = 4 };

typedef struct task {
    qn_context *ctx;
    qn_module *net;
    qn_optimizer *optimizer;
    qn_tensor *x, *y; /* of the step to come, kept */
    uint64_t state;
} task;

static void make_task(task *t, qn_context *ctx) {
    *t = (task){.ctx = ctx, .state = 1};
    qn_context_seed(ctx, 3);
    t->net = qn_nn_sequential(ctx, qn_nn_conv2d(ctx, 1, 6, 3, &(qn_conv2d_opts){.padding = {1}}),
                              qn_nn_batch_norm(ctx, 6, NULL), qn_nn_relu(ctx),
                              qn_nn_max_pool2d(ctx, 2, NULL), qn_nn_flatten(ctx),
                              qn_nn_dropout(ctx, 0.2),
                              qn_nn_linear(ctx, 6 * SIDE * SIDE / 4, CLASSES, NULL), NULL);
    qn_optimizer_spec spec = qn_adam(1e-2);
    spec.clip_norm = 1;
    t->optimizer = qn_optimizer_new(t->net, spec);
    t->x = qn_keep(qn_zeros(ctx, QN_F32, QN_SHAPE(BATCH, 1, SIDE, SIDE)));
    t->y = qn_keep(qn_zeros(ctx, QN_I64, QN_SHAPE(BATCH)));
    qn_step_end(ctx);
}

/* A bright row tells the class; the rest is noise. */
static qn_status fill_batch(task *t) {
    float x[BATCH * SIDE * SIDE];
    int64_t y[BATCH];
    for (int i = 0; i < BATCH; i++) {
        y[i] = i % CLASSES;
        for (int p = 0; p < SIDE * SIDE; p++) {
            t->state =
                t->state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
            x[i * SIDE * SIDE + p] =
                (float)(t->state >> 40) * 0x1p-25f + (p / SIDE == 2 * y[i] ? 0.7f : 0);
        }
    }
    qn_status status = qn_tensor_write(t->x, x, sizeof(x));
    return status == QN_OK ? qn_tensor_write(t->y, y, sizeof(y)) : status;
}

static qn_status step_body(void *data, qn_tensor *const *in, qn_tensor **out) {
    task *t = data;
    (void)in;
    out[0] = qn_cross_entropy(qn_forward(t->net, t->x), t->y);
    qn_status status = qn_backward(out[0]);
    return status == QN_OK ? qn_optimizer_step(t->optimizer) : status;
}

/* One step; its loss, NaN when it failed. */
static double step(task *t) {
    qn_tensor *loss = NULL;
    qn_status status = fill_batch(t);
    if (status == QN_OK)
        status = step_body(t, NULL, &loss);
    double value = status == QN_OK ? qn_item(loss) : NAN;
    qn_step_end(t->ctx);
    return value;
}

Test(cuda, training_follows_the_cpu) {
    NEED_GPU();
    enum { STEPS = 60 };
    task on_gpu, on_cpu;
    qn_context *cpu = qn_context_new("cpu");
    double first = 0, last = 0;
    make_task(&on_gpu, gpu);
    make_task(&on_cpu, cpu);
    for (int i = 0; i < STEPS; i++) {
        double expected = step(&on_cpu), got = step(&on_gpu);
        cr_assert(fabs(got - expected) <= 2e-3 * (1 + expected), "step %d: %g, on the CPU %g", i,
                  got, expected);
        first = i == 0 ? got : first;
        last = got;
    }
    cr_expect(last < 0.5 * first, "%g of %g", last, first);
    cr_expect_eq(qn_context_fallbacks(gpu), 0);
    qn_context_free(cpu);
}

/* ---- what a step costs ----------------------------------------------------------------------- */

Test(cuda, a_steady_step_allocates_nothing_and_waits_for_nothing) {
    NEED_GPU();
    task t;
    make_task(&t, gpu);
    qn_tensor *loss;
    for (int i = 0; i < 3; i++)
        step(&t);
    qn_context_synchronize(gpu);
    long waits = count("synchronizations"), allocations = count("allocations");
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(fill_batch(&t), QN_OK);
        cr_assert_eq(step_body(&t, NULL, &loss), QN_OK);
        qn_step_end(gpu);
    }
    cr_expect_eq(count("synchronizations"), waits, "%ld waits", count("synchronizations") - waits);
    cr_expect_eq(count("allocations"), allocations);
    cr_expect_eq(qn_context_synchronize(gpu), QN_OK);
}

Test(cuda, a_plan_is_one_launch_a_step_and_gives_the_same_bits) {
    NEED_GPU();
    enum { STEPS = 12 };
    double expected[STEPS], got[STEPS];
    task t;
    make_task(&t, gpu);
    for (int i = 0; i < STEPS; i++)
        expected[i] = step(&t);
    qn_context *other = qn_context_new("cuda");
    make_task(&t, other);
    qn_plan *plan = qn_plan_new(other, step_body, &t);
    long launches = 0, kernels = 0;
    for (int i = 0; i < STEPS; i++) {
        qn_tensor *loss;
        launches = count("graph_launches");
        kernels = count("kernels");
        cr_assert_eq(fill_batch(&t), QN_OK);
        cr_assert_eq(qn_plan_run(plan, NULL, 0, &loss, 1), QN_OK, "%s", qn_context_message(other));
        got[i] = qn_item(loss);
        qn_step_end(other);
    }
    cr_expect(qn_plan_stats(plan).graph);
    cr_expect_eq(count("graph_launches") - launches, 1);
    cr_expect_gt(count("kernels") - kernels, 5, "the graph ran its kernels");
    cr_expect_arr_eq(got, expected, sizeof(got));
    qn_context_free(other);
}

/* ---- faults ----------------------------------------------------------------------------- */

Test(cuda, faults_in_data_come_at_the_next_wait_under_the_operations_name) {
    NEED_GPU();
    qn_tensor *x = qn_zeros(gpu, QN_F32, QN_SHAPE(5, 2));
    qn_tensor *index = qn_from_data(gpu, QN_I64, QN_SHAPE(2, 2), (int64_t[]){0, 9, 1, 4});
    qn_tensor *y = qn_gather(x, 0, index);
    cr_assert_not_null(y);
    float out[4];
    cr_expect_eq(qn_tensor_read(y, out, sizeof(out)), QN_INVALID_ARGUMENT);
    cr_expect(strstr(qn_context_message(gpu), "gather: index 9 at position 1 is outside 0 .. 4"),
              "%s", qn_context_message(gpu));
    qn_context_clear_error(gpu);
    cr_expect_eq(qn_tensor_read(x, (float[10]){0}, 10 * sizeof(float)), QN_OK, "said once");
    qn_tensor *places = qn_from_data(gpu, QN_I64, QN_SHAPE(1, 2, 2), (int64_t[]){0, 1, 1, 7});
    qn_scatter_add(qn_ones(gpu, QN_F32, QN_SHAPE(1, 2, 2)), 1, places, 3);
    cr_expect_eq(qn_context_synchronize(gpu), QN_INVALID_ARGUMENT);
    cr_expect(
        strstr(qn_context_message(gpu), "scatter_add: index 7 at position 3 is outside 0 .. 2"),
        "%s", qn_context_message(gpu));
    qn_context_clear_error(gpu);
    qn_tensor *logits = qn_zeros(gpu, QN_F32, QN_SHAPE(2, 3));
    qn_cross_entropy(logits, qn_from_data(gpu, QN_I64, QN_SHAPE(2), (int64_t[]){0, 3}));
    cr_expect_eq(qn_context_synchronize(gpu), QN_INVALID_ARGUMENT);
    cr_expect(
        strstr(qn_context_message(gpu), "cross_entropy: target of row 1 is 3, expected 0 .. 2"),
        "%s", qn_context_message(gpu));
    qn_context_clear_error(gpu);
}

Test(cuda, a_full_device_is_a_status_and_the_program_goes_on) {
    NEED_GPU();
    qn_tensor *x = qn_empty(gpu, QN_F32, QN_SHAPE(6 << 20));
    cr_expect_not_null(x);
    qn_tensor *y = qn_empty(gpu, QN_F32, QN_SHAPE(9 << 20));
    cr_expect_null(y);
    cr_expect_eq(qn_context_error(gpu, NULL), QN_OUT_OF_MEMORY);
    cr_expect(strstr(qn_context_message(gpu), "out of memory"), "%s", qn_context_message(gpu));
    qn_context_clear_error(gpu);
    qn_tensor_free(x);
    y = qn_empty(gpu, QN_F32, QN_SHAPE(9 << 20));
    cr_expect_not_null(y, "%s", qn_context_message(gpu));
    qn_tensor *ones = qn_ones(gpu, QN_F32, QN_SHAPE(3));
    cr_expect_eq(qn_item(qn_sum(ones, QN_ALL, false)), 3);
}

Test(cuda, a_launch_that_fails_is_a_status_with_cudas_words) {
    NEED_GPU();
    const struct {
        int error;
        qn_status status;
    } cases[] = {{2, QN_OUT_OF_MEMORY},
                 {999, QN_DEVICE_ERROR}}; /* cudaErrorMemoryAllocation, cudaErrorUnknown */
    qn_tensor *x = qn_ones(gpu, QN_F32, QN_SHAPE(3));
    for (int i = 0; i < 2; i++) {
        find("cudasim_fail_at").fail_at("cudaLaunchKernel", 1, cases[i].error);
        cr_expect_null(qn_exp(x));
        find("cudasim_fail_at").fail_at("", 0, 0);
        cr_expect_eq(qn_context_error(gpu, NULL), cases[i].status);
        cr_expect(strstr(qn_context_message(gpu), i == 0 ? "out of memory" : "unknown error"), "%s",
                  qn_context_message(gpu));
        qn_context_clear_error(gpu);
    }
}

/* Calls of a training step that give a status; those that free give none. */
static const char *const calls[] = {"cudaSetDevice",
                                    "cudaMallocAsync",
                                    "cudaLaunchKernel",
                                    "cudaMemcpyAsync",
                                    "cudaMemsetAsync",
                                    "cudaEventSynchronize",
                                    "cudaEventRecord",
                                    "cudaStreamWaitEvent",
                                    "cudaStreamSynchronize",
                                    "cublasLtMatmul",
                                    "cublasLtMatmulDescSetAttribute",
                                    "cudnnConvolutionBiasActivationForward",
                                    "cudnnConvolutionForward",
                                    "cudnnConvolutionBackwardData",
                                    "cudnnConvolutionBackwardFilter",
                                    "cudnnBatchNormalizationForwardTraining",
                                    "cudnnBatchNormalizationBackward"};

/* The n-th use of a call fails in the middle of training: a status, and then training goes on. True
 * while there was such a use. */
static bool fail_once(task *t, const char *call, long n) {
    const int unknown = 999;
    find("cudasim_fail_at").fail_at(call, n, unknown);
    double loss = step(t);
    bool happened = find("cudasim_failed").number();
    find("cudasim_fail_at").fail_at("", 0, 0);
    if (!happened)
        return false;
    qn_status status = qn_context_error(t->ctx, NULL);
    cr_expect(isnan(loss) && status != QN_OK, "%s, use %ld: swallowed (loss %g)", call, n, loss);
    cr_expect_str_not_empty(qn_context_message(t->ctx), "%s, use %ld", call, n);
    qn_context_clear_error(t->ctx);
    loss = step(t);
    cr_expect(isfinite(loss) && qn_context_error(t->ctx, stderr) == QN_OK,
              "%s, use %ld: %g after it", call, n, loss);
    return true;
}

Test(cuda, each_call_of_a_step_may_fail) {
    NEED_GPU();
    int before = find("cudasim_live").number(), places = 0;
    qn_context *other = qn_context_new("cuda");
    task t;
    make_task(&t, other);
    step(&t);
    for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
        for (long n = 1; fail_once(&t, calls[c], n); n++)
            places++;
    cr_expect_gt(places, 40, "only %d places", places);
    qn_context_free(other);
    cr_expect_eq(find("cudasim_live").number(), before, "%d objects were not given back",
                 find("cudasim_live").number() - before);
}

Test(cuda, a_device_that_cannot_be_opened_leaks_nothing) {
    NEED_GPU();
    int before = find("cudasim_live").number();
    long n = 1;
    for (bool happened = true; happened; n++) {
        find("cudasim_fail_at").fail_at("", n, 2);
        qn_context *other = qn_context_new("cuda");
        happened = find("cudasim_failed").number();
        find("cudasim_fail_at").fail_at("", 0, 0);
        qn_status status = qn_context_error(other, NULL);
        qn_context_free(other);
        if (happened && status != QN_OK)
            cr_expect_eq(find("cudasim_live").number(), before, "call %ld: leaks", n);
    }
    cr_expect_gt(n, 20);
}
