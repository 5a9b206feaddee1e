/* test_cuda_devices.c: two simulated devices on one thread, a device on two threads, and memory
 * that begins anywhere. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "simulated_gpu.h"

/* Each test has a process of its own, and the simulator reads this at its first call. */
static void open_two(void) {
    setenv("CUDASIM_DEVICES", "2", 1);
    open_gpu();
}

TestSuite(cuda_devices, .init = open_two, .fini = close_gpu, .timeout = 300);

/* ---- devices ----------------------------------------------------------------------------- */

typedef struct layer {
    qn_context *ctx;
    qn_module *net;
    qn_optimizer *optimizer;
    qn_tensor *x, *y;
    qn_plan *plan;
    double losses[8];
} layer;

static qn_status train_step(void *data, qn_tensor *const *in, qn_tensor **out) {
    layer *l = data;
    out[0] = qn_mse(qn_forward(l->net, in[0]), l->y);
    qn_backward(out[0]);
    qn_optimizer_step(l->optimizer);
    return qn_context_error(l->ctx, NULL);
}

static void make_layer(layer *l, const char *device) {
    *l = (layer){.ctx = qn_context_new(device)};
    cr_assert_eq(qn_context_error(l->ctx, stderr), QN_OK);
    qn_context_seed(l->ctx, 3);
    l->net =
        qn_nn_sequential(l->ctx, qn_nn_conv2d(l->ctx, 1, 4, 3, NULL), qn_nn_relu(l->ctx),
                         qn_nn_flatten(l->ctx), qn_nn_linear(l->ctx, 4 * 4 * 4, 2, NULL), NULL);
    l->optimizer = qn_optimizer_new(l->net, qn_adam(1e-2));
    l->x = qn_keep(qn_normal(l->ctx, QN_F32, QN_SHAPE(3, 1, 6, 6), 0, 1));
    l->y = qn_keep(qn_normal(l->ctx, QN_F32, QN_SHAPE(3, 2), 0, 1));
    l->plan = qn_plan_new(l->ctx, train_step, l);
}

static void train(layer *l, int step) {
    qn_tensor *loss = NULL;
    cr_assert_eq(qn_plan_run(l->plan, &l->x, 1, &loss, 1), QN_OK, "%s, step %d: %s",
                 qn_context_device(l->ctx), step, qn_context_message(l->ctx));
    l->losses[step] = qn_item(loss);
    qn_step_end(l->ctx);
}

/* Plans are made, recorded and launched on both in turn. */
Test(cuda_devices, two_train_at_once_on_one_thread) {
    NEED_GPU();
    layer layers[2];
    make_layer(&layers[0], "cuda:0");
    make_layer(&layers[1], "cuda:1");
    for (int i = 0; i < 8; i++) {
        train(&layers[0], i);
        train(&layers[1], i);
    }
    cr_expect_arr_eq(layers[0].losses, layers[1].losses, sizeof(layers[0].losses));
    cr_expect(qn_plan_stats(layers[0].plan).graph && qn_plan_stats(layers[1].plan).graph);
    qn_context_free(layers[0].ctx);
    qn_context_free(layers[1].ctx);
}

static void *train_some(void *data) {
    for (int i = 1; i < 7; i++)
        train(data, i);
    return NULL;
}

Test(cuda_devices, a_context_is_used_by_another_thread_than_opened_it) {
    NEED_GPU();
    layer l;
    pthread_t thread;
    make_layer(&l, "cuda:1");
    train(&l, 0);
    cr_assert_eq(pthread_create(&thread, NULL, train_some, &l), 0);
    pthread_join(thread, NULL);
    train(&l, 7);
    qn_context_free(l.ctx);
}

Test(cuda_devices, there_are_no_more_than_there_are) {
    NEED_GPU();
    qn_context *ctx = qn_context_new("cuda:2");
    cr_expect_eq(qn_context_error(ctx, NULL), QN_DEVICE_ERROR);
    qn_context_free(ctx);
}

/* Whoever asks for the best device gets the CPU and is told why. */
Test(cuda_code, a_gpu_that_the_code_is_not_for_is_passed_over, .timeout = 300) {
    char path[1024];
    setenv("QUERN_BACKEND_PATH", QUERN_BIN_DIR "/cudasim/checked", 0);
    setenv("CUDASIM_CAPABILITY", "70", 1);
    snprintf(path, sizeof(path), "%s/libquern-cuda.so", getenv("QUERN_BACKEND_PATH"));
    if (access(path, F_OK) != 0)
        cr_skip_test("no CUDA Toolkit was there when this was built");
    qn_context *best = qn_context_new("auto"), *asked = qn_context_new("cuda");
    cr_expect_eq(qn_context_error(best, stderr), QN_OK);
    cr_expect_str_eq(qn_context_device(best), "cpu");
    cr_expect(strstr(qn_context_notice(best), "built for other GPUs"), "%s",
              qn_context_notice(best));
    cr_expect_eq(qn_context_error(asked, NULL), QN_DEVICE_ERROR);
    cr_expect(strstr(qn_context_message(asked), "built for other GPUs"), "%s",
              qn_context_message(asked));
    qn_context_free(best);
    qn_context_free(asked);
}

/* ---- addresses --------------------------------------------------------------------------- */

static qn_status product_step(void *data, qn_tensor *const *in, qn_tensor **out) {
    out[0] = qn_linear(in[0], data, NULL);
    return out[0] ? QN_OK : QN_DEVICE_ERROR;
}

/* Rows of 7 floats: each input begins elsewhere. Where it is not contiguous it is no graph, and the
 * list is replayed on the input itself. */
static void run_products(int64_t row) {
    qn_tensor *w = qn_keep(qn_full(gpu, QN_F32, QN_SHAPE(8, 7), 0.5));
    qn_tensor *data = qn_keep(qn_full(gpu, QN_F32, QN_SHAPE(64, row), 1));
    qn_plan *plan = qn_plan_new(gpu, product_step, w);
    qn_step_end(gpu);
    for (int i = 0; i < 8; i++) {
        const int begin = (i * 3 + 4) % 8; /* aligned in the recordings, and then not */
        qn_tensor *x = qn_slice(qn_slice(data, 0, begin, begin + 8), 1, row - 7, row), *y = NULL;
        cr_assert_eq(qn_plan_run(plan, &x, 1, &y, 1), QN_OK, "%s", qn_context_message(gpu));
        cr_expect_eq(qn_item(qn_mean(y, QN_ALL, false)), 3.5);
        qn_step_end(gpu);
    }
    cr_expect(qn_plan_stats(plan).replayed > 2);
    cr_expect_eq(qn_plan_stats(plan).graph, row == 7);
}

Test(cuda_devices, a_replay_has_the_scratch_that_its_inputs_need) {
    NEED_GPU();
    run_products(7);
    run_products(9);
}

Test(cuda_devices, a_bias_may_begin_anywhere) {
    NEED_GPU();
    qn_tensor *x = qn_ones(gpu, QN_F32, QN_SHAPE(4, 8)), *w = qn_ones(gpu, QN_F32, QN_SHAPE(5, 8));
    for (int i = 0; i < 5; i++) {
        qn_tensor *b = qn_slice(qn_ones(gpu, QN_F32, QN_SHAPE(16)), 0, i, i + 5);
        cr_expect_eq(qn_item(qn_sum(qn_linear(x, w, b), QN_ALL, false)), 4 * 5 * 9);
    }
    cr_expect_eq(qn_context_error(gpu, stderr), QN_OK);
}
