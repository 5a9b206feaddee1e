/* fit_task.h: a small task for qn_fit(), and losses that stop it at a certain step. */
#ifndef FIT_TASK_H
#define FIT_TASK_H

#include "scratch.h"
#include "test_device.h"

enum { SIDE = 6, CLASSES = 3, SAMPLES = 50, BATCH = 8, BATCHES = 7 };

/* An image with a bright row that tells the class, and noise that depends on the index alone. */
static inline qn_status get_sample(void *data, int64_t index, void *x, void *y) {
    (void)data;
    float *pixels = x;
    uint32_t noise = (uint32_t)index * 2654435761u + 1;
    const int64_t class_index = index % CLASSES;
    for (int i = 0; i < SIDE * SIDE; i++) {
        noise = noise * 1664525u + 1013904223u;
        pixels[i] = (float)(noise >> 8) / (1 << 24) + (i / SIDE == 2 * class_index ? 1.5f : 0);
    }
    *(int64_t *)y = class_index;
    return QN_OK;
}

static inline qn_dataset *small_set(int64_t count) {
    static const char *const names[CLASSES] = {"<top>", "middle", "bottom"};
    return qn_dataset_new(ctx, &(qn_dataset_desc){.name = "rows & noise",
                                                  .count = count,
                                                  .x_dtype = QN_F32,
                                                  .x_shape = QN_SHAPE(1, SIDE, SIDE),
                                                  .y_dtype = QN_I64,
                                                  .y_shape = QN_SCALAR,
                                                  .classes = CLASSES,
                                                  .class_names = names,
                                                  .get = get_sample});
}

/* A layer of each kind that has something to remember: statistics, random numbers, parameters. */
static inline qn_module *small_net(void) {
    qn_context_seed(ctx, 5);
    return qn_nn_sequential(ctx, qn_nn_conv2d(ctx, 1, 4, 3, NULL), qn_nn_batch_norm(ctx, 4, NULL),
                            qn_nn_relu(ctx), qn_nn_flatten(ctx), qn_nn_dropout(ctx, 0.2),
                            qn_nn_linear(ctx, 4 * 16, CLASSES, NULL), NULL);
}

/* What most tests train with; three epochs of seven steps. */
static inline qn_fit_opts small_opts(void) {
    return (qn_fit_opts){.optimizer = qn_adam(0.01),
                         .schedule = qn_schedule_one_cycle(),
                         .epochs = 3,
                         .batch_size = BATCH,
                         .augment = {.shift = 0.5, .rotate = 3},
                         .seed = 9,
                         .validation = small_set(30)};
}

static inline qn_status fit(const qn_fit_opts *opts) {
    return qn_fit(small_net(), small_set(SAMPLES), opts);
}

static inline void new_context(void) {
    qn_context_free(ctx);
    ctx = qn_context_new(test_device());
}

static inline void expect_same_files(const char *a, const char *b) {
    size_t a_size, b_size;
    char *a_data = scratch_read(a, &a_size), *b_data = scratch_read(b, &b_size);
    cr_expect(a_size == b_size && memcmp(a_data, b_data, a_size) == 0, "%s differs from %s", a, b);
    free(a_data);
    free(b_data);
}

static inline void expect_words(const char *text, const char *words) {
    cr_expect(strstr(text, words), "\"%s\" is not in \"%.2000s\"", words, text);
}

/* The error on the context has these words; it is cleared. */
static inline void expect_error(qn_status status, const char *words) {
    cr_expect_eq(qn_context_error(ctx, NULL), status);
    expect_words(qn_context_message(ctx), words);
    qn_context_clear_error(ctx);
}

/* ---- losses that do something else at a certain step ---------------------------------------- */

static int steps_left;
static volatile int stop_now;

static inline qn_status count_then_stop(void *data) {
    (void)data;
    if (--steps_left == 0)
        stop_now = 1;
    return QN_OK;
}

static inline qn_tensor *loss_then_stop(qn_tensor *prediction, qn_tensor *target) {
    qn_host_call(ctx, count_then_stop, NULL);
    return qn_cross_entropy(prediction, target);
}

#endif
